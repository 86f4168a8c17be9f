#include "server/worker/checkpoint/tensor_writer.h"

#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {

TensorWriter::TensorWriter(std::vector<TensorInfo> tensors) : tensors_(std::move(tensors)) {}

absl::Status TensorWriter::CheckNames(const std::vector<TensorInfo>& tensors) {
  std::set<absl::string_view> names;
  for (const TensorInfo& info : tensors) {
    RETURN_IF_ERROR(CheckTensorName(info.name));
    if (!names.insert(info.name).second) {
      return AtTensor(info.name, InvalidCheckpoint("is named twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status TensorWriter::Append(absl::Span<const char> elements) {
  if (next_ < tensors_.size() && elements.size() != tensors_[next_].byte_count()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(tensors_[next_].name), ": ",
                                                   elements.size(), " bytes given, it has ",
                                                   tensors_[next_].byte_count()));
  }
  return AppendPart(elements);
}

absl::Status TensorWriter::AppendPart(absl::Span<const char> elements) {
  ASSIGN_OR_RETURN(const size_t index, Advance(elements.size()));
  return WritePart(index, elements);
}

std::vector<TensorWriter::Sink> TensorWriter::Sinks() {
  return {[this](absl::Span<const char> elements) { return AppendPart(elements); }};
}

absl::StatusOr<size_t> TensorWriter::Advance(size_t byte_count) {
  if (next_ == tensors_.size()) {
    return absl::FailedPreconditionError("all tensors are written already");
  }
  const TensorInfo& info = tensors_[next_];
  const size_t index = next_;
  if (byte_count > info.byte_count() - written_bytes_) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(info.name), ": more than the ",
                                                   info.byte_count(), " bytes that it has"));
  }
  written_bytes_ += byte_count;
  if (written_bytes_ == info.byte_count()) {
    ++next_;
    written_bytes_ = 0;
  }
  return index;
}

absl::StatusOr<WrittenFile> TensorWriter::Finish() {
  if (next_ != tensors_.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("tensor ", Quote(tensors_[next_].name), " was not written"));
  }
  return Close();
}

}  // namespace stockpot
