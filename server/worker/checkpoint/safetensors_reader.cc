#include "server/worker/checkpoint/safetensors_reader.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/little_endian.h"
#include "server/worker/checkpoint/safetensors_header.h"

namespace stockpot {
namespace {

constexpr size_t kSizeBytes = 8;

class SafetensorsStateDict final : public StateDict {
 public:
  SafetensorsStateDict(std::shared_ptr<const MappedFile> file, absl::string_view data,
                       std::vector<SafetensorsEntry> entries)
      : file_(std::move(file)) {
    tensors_.reserve(entries.size());
    elements_.reserve(entries.size());
    for (SafetensorsEntry& entry : entries) {
      elements_.push_back(data.substr(entry.begin, entry.end - entry.begin));
      tensors_.push_back(std::move(entry.info));
    }
  }

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>*) const override {
    return absl::MakeConstSpan(elements_[index].data(), elements_[index].size());
  }
  absl::Status Copy(size_t index, size_t offset, absl::Span<char> out) const override {
    return file_->Copy(elements_[index].substr(offset, out.size()), out.data());
  }
  absl::string_view format() const override { return "safetensors"; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  const std::shared_ptr<const MappedFile> file_;
  std::vector<TensorInfo> tensors_;
  std::vector<absl::string_view> elements_;  // in the order of tensors_
  const std::vector<std::string> notes_;
};

}  // namespace

bool LooksLikeSafetensors(absl::string_view bytes) {
  if (bytes.size() <= kSizeBytes) return false;
  const absl::string_view header = bytes.substr(kSizeBytes);
  const size_t first = header.find_first_not_of(" \t\r\n");
  return first != absl::string_view::npos && header[first] == '{';
}

absl::StatusOr<std::shared_ptr<const StateDict>> OpenSafetensors(
    std::shared_ptr<const MappedFile> file, const CheckpointLimits& limits) {
  absl::string_view bytes = file->bytes();
  if (bytes.size() < kSizeBytes) {
    return TruncatedCheckpoint("the file ends within the size of a safetensors header");
  }
  const auto header_size = LoadLittleEndian<uint64_t>(bytes);
  bytes.remove_prefix(kSizeBytes);
  if (header_size > limits.max_header_bytes) {
    return InvalidCheckpoint(absl::StrCat("a safetensors header of ", header_size,
                                          " bytes is over the limit of ", limits.max_header_bytes));
  }
  if (header_size > bytes.size()) {
    return TruncatedCheckpoint(
        absl::StrCat("the file ends within its safetensors header: ", header_size,
                     " bytes expected, ", bytes.size(), " are there"));
  }
  const absl::string_view data = bytes.substr(header_size);
  ASSIGN_OR_RETURN(std::vector<SafetensorsEntry> entries,
                   ParseSafetensorsHeader(bytes.substr(0, header_size), data.size(), limits));
  return std::make_shared<SafetensorsStateDict>(std::move(file), data, std::move(entries));
}

}  // namespace stockpot
