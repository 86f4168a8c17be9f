// State dicts of which tensors are left out, or come from elsewhere.
//
// Source: TensorSelection in proto/stockpot/worker/v1/worker_service.proto. Ownership: a view keeps
// what it is made of alive. Thread safety: the functions are thread-safe, views are immutable.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_SELECTION_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_SELECTION_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Patterns of names (name_pattern.h).
struct TensorSelection {
  std::vector<std::string> excluded;  // before from_base where both match
  std::vector<std::string>
      from_base;  // what the state dict itself holds under such names is hidden
  std::shared_ptr<const StateDict> base;

  bool empty() const { return excluded.empty() && from_base.empty(); }
};

// INVALID_ARGUMENT when a pattern of from_base has no base, or matches none of its tensors.
absl::Status CheckSelection(const TensorSelection& selection);

// The selection's view of `state_dict`, which CheckSelection holds for. Tensors of the base are
// IsFixed().
std::shared_ptr<const StateDict> SelectTensors(std::shared_ptr<const StateDict> state_dict,
                                               const TensorSelection& selection);

// All tensors of `over`, IsFixed(), and those of `under` that have other names.
std::shared_ptr<const StateDict> OverlayTensors(const std::shared_ptr<const StateDict>& under,
                                                const std::shared_ptr<const StateDict>& over);

// Tensors in memory, sorted by name; each has the bytes of its dtype and shape.
struct TensorValue {
  TensorInfo info;
  std::vector<char> bytes;
};
std::shared_ptr<const StateDict> MakeStateDict(std::vector<TensorValue> tensors);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TENSOR_SELECTION_H_
