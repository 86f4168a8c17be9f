// The loss of the learned soup, and its labels. Internal to evaluation/.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_LOSS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_LOSS_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/evaluation/output_options.h"

namespace stockpot {

// A float64 scalar, differentiable: what learning.h says of `logits` (in the shape that the problem
// has) for all examples of `batch`. `inverse_temperature` is a float64 scalar. Undefined when no
// token counts. Errors: INVALID_ARGUMENT (reason LABEL_OUT_OF_RANGE, or MODEL_OUTPUT_MISMATCH when
// there are not as many labels as logits are for); DATA_LOSS (reason NON_FINITE_OUTPUT).
absl::StatusOr<at::Tensor> LearningLoss(Problem problem, const at::Tensor& logits,
                                        const at::Tensor& inverse_temperature,
                                        const DataSet& batch);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LEARNING_LOSS_H_
