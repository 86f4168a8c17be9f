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
  if (next_ == tensors_.size()) {
    return absl::FailedPreconditionError("all tensors are written already");
  }
  const TensorInfo& info = tensors_[next_];
  if (elements.size() != info.byte_count()) {
    return absl::InvalidArgumentError(absl::StrCat("tensor ", Quote(info.name), ": ",
                                                   elements.size(), " bytes given, it has ",
                                                   info.byte_count()));
  }
  RETURN_IF_ERROR(WriteTensor(next_, elements));
  ++next_;
  return absl::OkStatus();
}

absl::StatusOr<WrittenFile> TensorWriter::Finish() {
  if (next_ != tensors_.size()) {
    return absl::FailedPreconditionError(
        absl::StrCat("tensor ", Quote(tensors_[next_].name), " was not written"));
  }
  return Close();
}

}  // namespace stockpot
