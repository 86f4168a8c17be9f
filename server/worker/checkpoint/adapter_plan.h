// What an adapter does to each tensor of its base. Internal to checkpoint/.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_ADAPTER_PLAN_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_ADAPTER_PLAN_H_

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/low_rank_adapter.h"

namespace stockpot {

// Tensors are positions in the adapter's tensors().
struct TensorChange {
  std::optional<size_t> replaced_by;  // in place of the base's, before what follows
  std::optional<size_t> a, b;         // factors [r, …] and [out, r]
  std::optional<size_t> magnitude;    // of DoRA
  std::optional<size_t> added_bias;
  bool transposed = false;  // the delta is (B A)ᵀ
  double scale = 1;
};

struct AdapterPlan {
  std::map<std::string, TensorChange> changes;  // by the base's name, or a new one
  std::vector<std::string> notes;
};

// Checks all shapes. Errors: as MergeAdapter.
absl::StatusOr<AdapterPlan> PlanAdapter(const StateDict& base, const StateDict& adapter,
                                        const AdapterConfig& config);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_ADAPTER_PLAN_H_
