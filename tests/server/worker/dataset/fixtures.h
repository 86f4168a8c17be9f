// What make_fixtures.py made, and small data sets put together from it.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_DATASET_FIXTURES_H_
#define STOCKPOT_TESTS_SERVER_WORKER_DATASET_FIXTURES_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/image.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

// The bytes of data/`name`.
std::string ReadFixture(const std::string& name);

// The images of expected.safetensors whose names begin with `prefix`, by the rest of their names.
std::map<std::string, Image> ExpectedImages(const std::string& prefix);

// A folder for a data set and one for the cache.
class DataSetFolder {
 public:
  // Writes `name`, with folders on the way.
  void Write(const std::string& name, const std::string& content);
  // Writes each fixture under a name: {{"cat/1.jpg", "444.jpg"}, …}.
  void WriteFixtures(const std::vector<std::pair<std::string, std::string>>& files);

  DataSetSource Source() const;
  absl::StatusOr<std::shared_ptr<const DataSet>> Open(const DataSetSource& source,
                                                      const DataSetLimits& limits = {}) const;
  absl::StatusOr<std::shared_ptr<const DataSet>> Open() const { return Open(Source()); }

  std::string path() const { return folder_ / "data"; }
  std::string cache_path() const { return folder_ / "cache"; }
  // Files of the cache whose name has `part` in it.
  std::vector<std::string> CacheFiles(const std::string& part) const;

 private:
  TemporaryFolder folder_;
};

// One tensor of a file to be written.
struct TestTensor {
  std::string name;
  DType dtype;
  std::vector<int64_t> shape;
  std::string bytes;
};

template <typename Value>
TestTensor MakeTensor(std::string name, DType dtype, std::vector<int64_t> shape,
                      const std::vector<Value>& values) {
  return {std::move(name), dtype, std::move(shape),
          std::string(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(Value))};
}

// Writes a safetensors file that did not exist and gives it as a source.
DataSetSource WriteTensors(const std::string& path, const std::vector<TestTensor>& tensors);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_DATASET_FIXTURES_H_
