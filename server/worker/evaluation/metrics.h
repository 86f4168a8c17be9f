// Scores of a data set's outputs, batch by batch, by what the problem is:
//   classification    classification_metrics.h
//   regression        regression_metrics.h
//   language models   language_metrics.h
// Thread safety: thread-compatible. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

class Metrics {
 public:
  // Logits are divided by `temperature`, in float64: that changes losses, confidences and margins,
  // never what is right. `data_set` must outlive this.
  // Errors: INVALID_ARGUMENT (reason DATA_SET_INVALID) its labels are of another problem; a
  // temperature that is not positive and finite, or not 1 where there are no logits.
  static absl::StatusOr<std::unique_ptr<Metrics>> Create(Problem problem, const DataSet& data_set,
                                                         double temperature = 1);
  virtual ~Metrics() = default;

  // The next examples. Nothing may be added after an error. Errors: INVALID_ARGUMENT (reason
  // LABEL_OUT_OF_RANGE) a label is not among the logits, (MODEL_OUTPUT_MISMATCH) another length
  // than the labels have; DATA_LOSS (reason NON_FINITE_OUTPUT) an output is NaN or infinite so that
  // the score is no number. Both name the example, counted from 0 over all that were added.
  virtual absl::Status Add(const OutputBatch& batch) = 0;

  // Nothing may be done after.
  virtual Measurement Finish() = 0;
};

// The check of Metrics::Create alone: whether the labels are such as `problem` has.
absl::Status CheckProblem(Problem problem, const DataSet& data_set);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
