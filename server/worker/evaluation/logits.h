// Finds the logits in what a model's forward() gives. Internal to evaluation/.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_

#include <ATen/core/Tensor.h>
#include <ATen/core/ivalue.h>

#include "absl/status/statusor.h"
#include "server/worker/evaluation/output_mapping.h"

namespace stockpot {

// A tensor itself; the entry "logits" of a dict or named tuple, else the first tensor of a dict,
// tuple or list. It must be floating-point [batch_size, …], and is given back as it is.
// Errors: INVALID_ARGUMENT, reason MODEL_OUTPUT_MISMATCH.
absl::StatusOr<at::Tensor> FindOutputs(const c10::IValue& output, int64_t batch_size);

// Logits or, of regression, outputs out of FindOutputs() by ToLogits(), in the shape that `problem`
// has: [batch_size, classes], [batch_size, 1] (also of [batch_size]), or [batch_size, length,
// classes]. Errors: those of ToLogits(); INVALID_ARGUMENT (reason MODEL_OUTPUT_MISMATCH) another
// shape.
absl::StatusOr<at::Tensor> FindLogits(const c10::IValue& output, int64_t batch_size,
                                      Problem problem, const OutputMapping& mapping);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_H_
