// What wrappers of a model leave in the names of its state dict. Thread safety: the function is
// thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_WRAPPER_PREFIXES_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_WRAPPER_PREFIXES_H_

#include <string>
#include <vector>

namespace stockpot {

struct Unwrapped {
  std::string prefix;                 // of all names but those left out; "": none
  std::vector<std::string> left_out;  // names that belong to a wrapper, and not to the model
};

// Prefixes that stand before every name and belong to no model: module. (DistributedDataParallel,
// AveragedModel, whose n_averaged is left out), _orig_mod. (torch.compile), _fsdp_wrapped_module.;
// of a PyTorch Lightning checkpoint also model., net. and network., the attribute that a
// LightningModule mostly keeps the model in, beside losses and metrics, which are left out. A model
// that has more at its top than that keeps its names.
Unwrapped Unwrap(const std::vector<std::string>& names, bool is_lightning);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_WRAPPER_PREFIXES_H_
