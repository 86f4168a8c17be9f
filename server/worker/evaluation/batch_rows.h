// How many examples a CPU runs at once. Internal to evaluation/.
//
// A batch as large as a card likes it is slow on a CPU: every layer's outputs go to memory and come
// back, and all cores wait for each other after each layer. A few examples stay in a core's cache
// and each core can run its own. Too few, and the weights are read from memory more often than
// that is worth.
//
// The rule asks the model, not the clock: the same model gets the same rows everywhere, and so the
// same numbers. What was measured of which models is in lanes_test.cc.
//
// Thread safety: thread-safe. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_ROWS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_ROWS_H_

#include <cstdint>

#include "server/worker/evaluation/forward_memory.h"

namespace stockpot {

// A power of two, at least 4. `of_one` is what one example takes of a forward pass.
int64_t RowsForCache(const ForwardMemory& of_one, int64_t weight_bytes);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_BATCH_ROWS_H_
