// A data set in memory, of tensors as WriteSafetensors takes them: [examples, …] each.
// Thread safety: immutable.
#ifndef STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_
#define STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_

#include <string>
#include <utility>
#include <vector>

#include "server/worker/dataset/data_set.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {

class MemoryDataSet final : public DataSet {
 public:
  MemoryDataSet(std::vector<NamedTensor> tensors, std::vector<int64_t> labels)
      : tensors_(std::move(tensors)), labels_(std::move(labels)) {
    for (const NamedTensor& tensor : tensors_) {
      const std::vector<int64_t>& shape = tensor.info.shape;
      inputs_.push_back({tensor.info.name,
                         tensor.info.dtype,
                         {shape.begin() + 1, shape.end()},
                         tensor.bytes.size() / labels_.size()});
    }
  }

  int64_t size() const override { return static_cast<int64_t>(labels_.size()); }
  const std::vector<InputInfo>& inputs() const override { return inputs_; }
  absl::Span<const int64_t> labels() const override { return labels_; }
  int64_t class_count() const override { return 3; }
  const std::vector<std::string>& class_names() const override { return empty_; }
  const char* example(size_t k, int64_t i) const override {
    return tensors_[k].bytes.data() + static_cast<size_t>(i) * inputs_[k].byte_count;
  }
  const std::string& digest() const override { return digest_; }

 private:
  const std::vector<NamedTensor> tensors_;
  const std::vector<int64_t> labels_;
  std::vector<InputInfo> inputs_;
  const std::vector<std::string> empty_;
  const std::string digest_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_WORKER_EVALUATION_MEMORY_DATA_SET_H_
