#include "tests/server/worker/dataset/fixtures.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <memory>

#include "absl/strings/match.h"
#include "server/base/files.h"
#include "server/worker/checkpoint/safetensors_writer.h"

namespace stockpot {
namespace {

// Tests run in the source tree.
constexpr char kData[] = "tests/server/worker/dataset/data/";

}  // namespace

std::string ReadFixture(const std::string& name) {
  return ReadSmallFile(kData + name, 1 << 20).value();
}

std::map<std::string, Image> ExpectedImages(const std::string& prefix) {
  const auto file = OpenCheckpoint(std::string(kData) + "expected.safetensors", {}).value();
  std::map<std::string, Image> images;
  for (size_t i = 0; i < file->tensors().size(); ++i) {
    const TensorInfo& info = file->tensors()[i];
    if (!absl::StartsWith(info.name, prefix)) continue;
    std::vector<char> scratch;
    const absl::Span<const char> bytes = file->Read(i, &scratch).value();
    Image image(static_cast<int>(info.shape[0]), static_cast<int>(info.shape[1]));
    std::copy(bytes.begin(), bytes.end(), image.pixels.begin());
    images[info.name.substr(prefix.size())] = std::move(image);
  }
  return images;
}

void DataSetFolder::Write(const std::string& name, const std::string& content) {
  const std::filesystem::path file = std::filesystem::path(path()) / name;
  ASSERT_TRUE(MakeFolders(file.parent_path().string()).ok());
  ASSERT_TRUE(WriteFileDurably(file.string(), content).ok());
}

void DataSetFolder::WriteFixtures(const std::vector<std::pair<std::string, std::string>>& files) {
  for (const auto& [name, fixture] : files) Write(name, ReadFixture(fixture));
}

DataSetSource DataSetFolder::Source() const {
  DataSetSource source;
  source.path = path();
  return source;
}

absl::StatusOr<std::shared_ptr<const DataSet>> DataSetFolder::Open(
    const DataSetSource& source, const DataSetLimits& limits) const {
  return OpenDataSet(source, cache_path(), limits);
}

std::vector<std::string> DataSetFolder::CacheFiles(const std::string& part) const {
  std::vector<std::string> names;
  std::error_code missing;
  for (const auto& entry : std::filesystem::directory_iterator(cache_path(), missing)) {
    const std::string name = entry.path().filename().string();
    if (absl::StrContains(name, part)) names.push_back(entry.path().string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

DataSetSource WriteTensors(const std::string& path, const std::vector<TestTensor>& tensors) {
  std::vector<TensorInfo> infos;
  for (const TestTensor& tensor : tensors) {
    infos.push_back({tensor.name, tensor.dtype, tensor.shape});
  }
  auto writer = SafetensorsWriter::Create(path, infos, {}).value();
  for (const TestTensor& tensor : tensors) {
    EXPECT_TRUE(writer->Append({tensor.bytes.data(), tensor.bytes.size()}).ok());
  }
  EXPECT_TRUE(writer->Finish().ok());
  DataSetSource source;
  source.kind = DataSetSource::Kind::kTensors;
  source.path = path;
  return source;
}

}  // namespace stockpot
