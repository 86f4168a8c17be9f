// The objects of a torch.save pickle: what a call (REDUCE) and a persistent id (BINPERSID) stand
// for. Nothing is called. A few calls of torch._utils are known by name and their arguments are
// checked by type; every other call gives a placeholder.
//
// Source: torch/_utils.py, torch/serialization.py and torch/jit/_pickle.py of PyTorch 1.6 to 2.11.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_REBUILD_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_REBUILD_H_

#include <optional>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/pickle_value.h"

namespace stockpot {

// The value of callable(*arguments). INVALID_ARGUMENT when a known call has arguments of other
// types.
absl::StatusOr<PickleValue> RebuildCall(const PickleHeap& heap, PickleRef callable,
                                        PickleRef arguments);

// The argument that a call gives back as it is: torch::pickle_save (C++) wraps typed containers in
// restore_type_tag(value, type). Nullopt for every other call.
std::optional<PickleRef> PassedThrough(const PickleHeap& heap, PickleRef callable,
                                       PickleRef arguments);

// The storage a persistent id names: ('storage', type, key, location, element count).
absl::StatusOr<PickleValue> RebuildStorage(const PickleHeap& heap, PickleRef persistent_id);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_PICKLE_REBUILD_H_
