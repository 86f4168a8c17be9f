// Scores of a language model: those of logit_scores.h, over the tokens that count; each counts its
// weight.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_

#include <algorithm>
#include <cstdint>
#include <vector>

#include "server/worker/evaluation/logit_scores.h"
#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class LanguageMetrics final : public Metrics {
 public:
  LanguageMetrics(const DataSet& data_set, double temperature)
      : data_set_(data_set),
        inverse_temperature_(1 / temperature),
        length_(data_set.labels().size() / static_cast<size_t>(data_set.size())),
        total_(std::count_if(data_set.labels().begin(), data_set.labels().end(),
                             [](int64_t label) { return label != kIgnoredToken; })),
        weight_sum_(WeightSum(data_set)) {}
  absl::Status Add(const OutputBatch& batch) override;
  Score BestReachable() const override;
  Measurement Finish() override;

 private:
  // A token by its place among the data set's labels.
  struct Counted {
    size_t place = 0;
    LogitScore score;
  };

  // Whether the model gives logits for the positions of labels; of examples that differ in length,
  // for those of a batch.
  absl::Status CheckLength(int64_t length) const;
  // The next one of the measurement.
  void Count(const Counted& token);

  const DataSet& data_set_;
  const double inverse_temperature_;
  const size_t length_;  // of the labels of an example
  const int64_t total_;  // tokens that count
  // Of the weights: all; of those added, what is not first, or not among the first five.
  const double weight_sum_;
  double top1_wrong_ = 0, top5_wrong_ = 0;
  // So far, in the order in which examples were added.
  Score sums_;
  // Where examples differ in length they come in another order than theirs.
  std::vector<Counted> out_of_order_;
  Measurement measurement_;  // of the others
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_
