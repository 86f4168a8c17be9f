// Finds the state dict in what was saved: at the top, below a key that people use for it or that is
// named, or in the modules of a TorchScript archive.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/pickle_reader.h"

namespace stockpot {

struct NamedTensor {
  std::string name;
  PickleRef tensor = 0;  // a kTensor
};

struct FoundStateDict {
  std::vector<NamedTensor> tensors;  // sorted by name, no duplicates
  std::vector<std::string> notes;
  bool is_lightning = false;  // saved by PyTorch Lightning's Trainer
};

// `key` names the key to look under; "": where people mostly have it.
// Errors: INVALID_ARGUMENT when there is no state dict (the message says what is there);
// UNIMPLEMENTED when a whole module was saved, or a tensor is sparse or quantized.
absl::StatusOr<FoundStateDict> FindStateDict(const Pickle& pickle, absl::string_view key = "");

// The names of a module's parameters and buffers, by the module's class: "__torch__.net.Block".
using TorchScriptClasses = std::map<std::string, std::set<std::string>>;

// What state_dict() of the module gives that a TorchScript archive's data.pkl holds. `limits`
// bounds the nesting and the tensors. Errors: as above.
absl::StatusOr<FoundStateDict> FindModuleState(const Pickle& pickle,
                                               const TorchScriptClasses& classes,
                                               const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_
