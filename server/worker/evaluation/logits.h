// Finds the logits in what a model's forward() gives. Internal to evaluation/.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "absl/status/statusor.h"

namespace stockpot {

// A tensor itself; the entry "logits" of a dict or named tuple, else the first tensor of a dict,
// tuple or list. It must be floating-point [batch_size, classes]. Given back as contiguous float32
// on the CPU. Errors: INVALID_ARGUMENT, reason MODEL_OUTPUT_MISMATCH.
absl::StatusOr<at::Tensor> FindLogits(const c10::IValue& output, int64_t batch_size);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_
