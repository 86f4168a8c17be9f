// Named tensors with one row for each example, of any format, read once from first to last.
// Thread safety: a TensorRows is immutable; Scan() of one is for one thread at a time.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROWS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROWS_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/digest.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/dataset/data_set.h"  // kAnyLength

namespace stockpot {

inline bool IsList(const TensorInfo& tensor) {
  return tensor.shape.size() > 1 && tensor.shape[1] == kAnyLength;
}

class TensorRows {
 public:
  using Take = std::function<absl::Status(absl::string_view rows)>;

  virtual ~TensorRows() = default;

  // Sorted by name. [N, kAnyLength, …]: lists, which may differ in length.
  virtual const std::vector<TensorInfo>& tensors() const = 0;
  // Gives all elements of tensors()[index] in order, whole rows at a time.
  virtual absl::Status Scan(size_t index, const Take& take) const = 0;
  // Of lists: the length of each row, at least 1.
  virtual absl::StatusOr<std::vector<int64_t>> Lengths(size_t index) const {
    return absl::InternalError(absl::StrCat("tensor ", index, " is no list"));
  }

  // What the tensor with the labels is called where nobody says so.
  virtual std::string default_label_tensor() const { return "labels"; }
  // The classes of that tensor in label order, where the source has them.
  virtual std::vector<std::string> ClassNames(const std::string& /*label_tensor*/) const {
    return {};
  }
  // The same tensors in memory, where they can be used as they are; else null.
  virtual std::shared_ptr<const StateDict> AsStateDict() const { return nullptr; }

  // Adds all that the tensors depend on: paths, sizes and times of change.
  virtual void AddToKey(Sha256* key) const = 0;
  // INVALID_ARGUMENT (DATA_SET_INVALID) when that is no longer so.
  virtual absl::Status CheckUnchanged() const = 0;
  // Sums that the file has, once before its content is believed.
  virtual absl::Status Verify() const { return absl::OkStatus(); }
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TENSOR_ROWS_H_
