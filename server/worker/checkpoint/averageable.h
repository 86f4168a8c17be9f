// Tensors whose mean is not the mean of the models. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_AVERAGEABLE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_AVERAGEABLE_H_

#include <vector>

#include "absl/status/status.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// UNIMPLEMENTED (CHECKPOINT_UNSUPPORTED), naming the tensor, when some are quantised: packed
// integers with scales beside them, as GPTQ, AWQ, bitsandbytes and compressed-tensors write them,
// or a matrix of integers called a weight; or when they are factors of an adapter, read without its
// folder.
absl::Status CheckAverageable(const std::vector<TensorInfo>& tensors);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_AVERAGEABLE_H_
