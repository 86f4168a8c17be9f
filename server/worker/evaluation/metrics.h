// Counts and sums over logits, example by example, in example order.
//
// top-1 counts an example whose label is torch.argmax of its logits, top-5 one whose label is among
// the five largest; equal logits rank by index, the lower one first (as torch.argmax does).
// Cross-entropy is -log softmax in natural logarithms: a log-sum-exp of the float32 logits in
// float64, summed in example order. A margin is the true class' logit minus the largest other one,
// in float32; infinite when there is no other class.
//
// Thread safety: thread-compatible. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

class MetricsAccumulator {
 public:
  explicit MetricsAccumulator(int64_t expected_examples);

  // The next examples: `logits` is row-major [labels.size(), classes] with classes >= 1. Nothing
  // may be added after an error. Errors: INVALID_ARGUMENT (reason LABEL_OUT_OF_RANGE) a label is
  // not in [0, classes); DATA_LOSS (reason NON_FINITE_OUTPUT) a logit is NaN or infinite so that
  // the loss is no number. Both name the example, counted from 0 over all that were added.
  absl::Status Add(absl::Span<const float> logits, int64_t classes,
                   absl::Span<const int64_t> labels);

  const Measurement& measurement() const { return measurement_; }

 private:
  absl::Status AddExample(absl::Span<const float> logits, int64_t label);

  Measurement measurement_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
