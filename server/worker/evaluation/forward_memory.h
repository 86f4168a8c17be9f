// What a forward pass takes of the memory. Internal to evaluation/.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_FORWARD_MEMORY_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_FORWARD_MEMORY_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace stockpot {

// Of tensors, in bytes.
struct ForwardMemory {
  int64_t peak = 0;   // at once
  int64_t total = 0;  // all that were made, one after another
};

// Of what `run` has LibTorch allocate on this thread; what it throws comes through.
ForwardMemory MeasureMemory(absl::FunctionRef<void()> run);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_FORWARD_MEMORY_H_
