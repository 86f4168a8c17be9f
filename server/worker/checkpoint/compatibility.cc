// Whether two checkpoints can be averaged, told from names, shapes and dtypes alone.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {
namespace {

constexpr size_t kMaxDifferencesSaid = 20;

std::string ShapeText(const TensorInfo& info) {
  return absl::StrCat("[", absl::StrJoin(info.shape, ", "), "]");
}

class Differences {
 public:
  void Add(const std::string& tensor, absl::string_view what) {
    if (count_++ == 0) first_tensor_ = tensor;
    if (said_.size() < kMaxDifferencesSaid) {
      said_.push_back(absl::StrCat("tensor ", Quote(tensor), ": ", what));
    }
  }

  absl::Status status() const {
    if (count_ == 0) return absl::OkStatus();
    std::string message = absl::StrJoin(said_, "; ");
    if (count_ > said_.size()) absl::StrAppend(&message, "; and ", count_ - said_.size(), " more");
    return WithMetadata(WithReason(absl::InvalidArgumentError(message), "CHECKPOINT_MISMATCH"),
                        "tensor", first_tensor_);
  }

 private:
  size_t count_ = 0;
  std::string first_tensor_;
  std::vector<std::string> said_;
};

}  // namespace

absl::Status CheckCompatible(const std::vector<TensorInfo>& expected,
                             const std::vector<TensorInfo>& other) {
  Differences differences;
  auto want = expected.begin();
  auto have = other.begin();
  while (want != expected.end() || have != other.end()) {
    if (have == other.end() || (want != expected.end() && want->name < have->name)) {
      differences.Add((want++)->name, "is missing");
    } else if (want == expected.end() || have->name < want->name) {
      differences.Add((have++)->name, "is not expected");
    } else {
      if (have->shape != want->shape) {
        differences.Add(have->name,
                        absl::StrCat("shape ", ShapeText(*have), ", expected ", ShapeText(*want)));
      } else if (have->dtype != want->dtype) {
        differences.Add(have->name, absl::StrCat("dtype ", DTypeName(have->dtype), ", expected ",
                                                 DTypeName(want->dtype)));
      }
      ++want, ++have;
    }
  }
  return differences.status();
}

}  // namespace stockpot
