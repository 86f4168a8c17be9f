// Sizes of tensors from a hostile file: computed without overflow, before anything is believed.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKED_SHAPE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKED_SHAPE_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// INVALID_ARGUMENT when there are too many dimensions, a size is negative, or the bytes of the
// tensor do not fit 63 bits. An empty dimension makes an empty tensor whatever the others are, but
// those must multiply without overflow as well, so that any product of sizes is safe later.
absl::Status CheckShape(DType dtype, absl::Span<const int64_t> shape,
                        const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKED_SHAPE_H_
