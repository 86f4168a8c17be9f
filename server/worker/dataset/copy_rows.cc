#include "server/worker/dataset/copy_rows.h"

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {

absl::Status WrongRowCount(const TensorInfo& info) {
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat("tensor '", info.name, "' has not the rows that it declares")),
                    "DATA_SET_INVALID");
}

absl::Status CopyRows(const RowsOfTensor& tensor, size_t row_count,
                      const std::vector<size_t>& chosen, uint64_t offset,
                      CacheFolder::PartialFile* file) {
  const TensorInfo& info = tensor.rows.tensors()[tensor.index];
  const std::vector<int64_t>* const lengths = tensor.lengths;
  size_t unit = DTypeSize(info.dtype);  // of a row, or of a position of a list
  for (size_t d = lengths == nullptr ? 1 : 2; d < info.shape.size(); ++d) {
    unit *= static_cast<size_t>(info.shape[d]);
  }
  const auto size_of = [&](size_t row) {
    return lengths == nullptr ? unit : unit * static_cast<size_t>((*lengths)[row]);
  };
  size_t row = 0, next = 0;  // the next of all; the next of `chosen`
  // Those that are side by side are written at once.
  const auto take = [&](absl::string_view piece) -> absl::Status {
    size_t at = 0, run = 0;  // what was gone through; of it, the chosen rows just before
    const auto write = [&]() -> absl::Status {
      RETURN_IF_ERROR(file->WriteAt(piece.substr(at - run, run), offset));
      offset += run;
      run = 0;
      return absl::OkStatus();
    };
    for (; at < piece.size(); ++row) {
      if (row == row_count || size_of(row) > piece.size() - at) return WrongRowCount(info);
      const bool is_chosen = next < chosen.size() && chosen[next] == row;
      if (!is_chosen && run > 0) RETURN_IF_ERROR(write());
      at += size_of(row);
      if (is_chosen) run += size_of(row), ++next;
    }
    return run > 0 ? write() : absl::OkStatus();
  };
  RETURN_IF_ERROR(tensor.rows.Scan(tensor.index, take));
  return row == row_count ? absl::OkStatus() : WrongRowCount(info);
}

}  // namespace stockpot
