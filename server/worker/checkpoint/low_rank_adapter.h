// LoRA adapters, read as the checkpoint that merging them into their base gives: W + scale · B A
// for each adapted matrix. So merged weights are averaged, not factors: a mean of products is not
// the product of means.
//
// Read right: rank and alpha patterns, rank-stabilised scaling (alpha / √r), DoRA on linear layers,
// linear, Conv1D (fan_in_fan_out), convolution and embedding layers, trained biases, and modules
// that were trained whole (modules_to_save). Everything else is refused by name, such as
// initialisations that change the base (PiSSA, OLoRA, …).
//
// Numbers: products and sums in float64, one rounding to the base's dtype.
// Source: LoRA (arXiv 2106.09685) section 4.1; rsLoRA (2312.03732); DoRA (2402.09353) equation 5;
// the files and names are those of peft 0.21, peft/utils/save_and_load.py, tuners/lora/layer.py.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_LOW_RANK_ADAPTER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_LOW_RANK_ADAPTER_H_

#include <map>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Of adapter_config.json, what the merged weights depend on and the files do not say.
struct AdapterConfig {
  double alpha = 8;
  std::map<std::string, double> alpha_pattern;  // by module, or the end of its name
  bool rank_stabilized = false;
  bool transposed = false;  // fan_in_fan_out
};

// Errors: INVALID_ARGUMENT (CHECKPOINT_INVALID) not such a file; UNIMPLEMENTED
// (CHECKPOINT_UNSUPPORTED) an adapter of another kind, naming the option.
absl::StatusOr<AdapterConfig> ParseAdapterConfig(absl::string_view json);

// The base with the adapter merged into it. Modules that the adapter names with a prefix more or
// less than the base are found all the same, and a note says so. Both are kept alive.
// Errors: INVALID_ARGUMENT (CHECKPOINT_MISMATCH) what the adapter changes is not in the base, or of
// another shape; UNIMPLEMENTED tensors that are not understood.
absl::StatusOr<std::shared_ptr<const StateDict>> MergeAdapter(
    const std::shared_ptr<const StateDict>& base, const std::shared_ptr<const StateDict>& adapter,
    const AdapterConfig& config);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_LOW_RANK_ADAPTER_H_
