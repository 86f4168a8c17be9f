// Finds the state dict in what was saved: at the top, or below a key that people use for it.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_

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
  std::vector<NamedTensor> tensors;  // sorted by name, no duplicates; prefixes removed
  std::vector<std::string> notes;
};

// Errors: INVALID_ARGUMENT when there is no state dict (the message says what is there);
// UNIMPLEMENTED when a whole module was saved, or a tensor is sparse or quantized.
absl::StatusOr<FoundStateDict> FindStateDict(const Pickle& pickle);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STATE_DICT_SEARCH_H_
