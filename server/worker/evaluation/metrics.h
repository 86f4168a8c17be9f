// Scores of a data set's outputs, batch by batch, by what the problem is:
//   classification    classification_metrics.h
//   regression        regression_metrics.h
//   language models   language_metrics.h
//
// A pass may end early where what is left of the set cannot change a decision: BestReachable()
// takes it at its best, every example right and no more loss. Counts by class (mean per class, F1)
// are bounded by the same formulas over those counts, each of which grows when a wrong example
// becomes right; so does Matthews' coefficient of two classes. Other correlations have no such
// bound. Sums of losses do not fall below what was added, less what rounding in another order may
// take away (n additions of what is not negative are off by n units at most: Higham 2002,
// section 4.2); sums of weights of what is right do not grow beyond all weights less those of what
// is wrong, and as much for rounding. Thread safety: thread-compatible. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_

#include <limits>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/score.h"
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

  // Examples, each once, in any order (of a language model whose examples have one length: in
  // theirs). Nothing may be added after
  // an error. Errors: INVALID_ARGUMENT (reason
  // LABEL_OUT_OF_RANGE) a label is not among the logits, (MODEL_OUTPUT_MISMATCH) another length
  // than the labels have; DATA_LOSS (reason NON_FINITE_OUTPUT) an output is NaN or infinite so that
  // the score is no number. Both name the example.
  virtual absl::Status Add(const OutputBatch& batch) = 0;

  // A score that no score of the whole set is better than, whatever the rest of it gives.
  virtual Score BestReachable() const = 0;

  // Of what was added: sums are made in the examples' order. Nothing may be done after.
  virtual Measurement Finish() = 0;
};

// The example in row `i` of the batch.
inline int64_t ExampleOf(const OutputBatch& batch, size_t i) {
  return batch.examples.empty() ? batch.first + static_cast<int64_t>(i) : batch.examples[i];
}

// What float64 sums of `count` numbers, none negative, lose at most by the order of summation.
inline double SmallestSum(double sum, int64_t count) {
  return sum * (1 - 2 * static_cast<double>(count) * std::numeric_limits<double>::epsilon());
}

// What float64 sums of `count` numbers, none negative, can at most come to in any order, when all
// of them add up to `all` and those that are left out to `without`.
inline double LargestSum(double all, double without, int64_t count) {
  return all - without +
         4 * static_cast<double>(count) * std::numeric_limits<double>::epsilon() * all;
}

// The weight of an example, of a language model that of a label; 1 where there are none.
inline double WeightOf(const DataSet& data_set, int64_t place) {
  return data_set.weights().empty() ? 1.0 : data_set.weights()[static_cast<size_t>(place)];
}

// Their sum, in order; 0 where there are none.
double WeightSum(const DataSet& data_set);

// Above any correlation: what BestReachable() has of one that it cannot bound.
inline constexpr double kUnbounded = 2;

// The check of Metrics::Create alone: whether the labels are such as `problem` has.
absl::Status CheckProblem(Problem problem, const DataSet& data_set);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_METRICS_H_
