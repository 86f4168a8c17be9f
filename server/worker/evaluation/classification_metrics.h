// Scores of classification: those of logit_scores.h, counts by class, calibration.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_

#include <cstdint>
#include <vector>

#include "server/worker/evaluation/logit_scores.h"
#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class ClassificationMetrics final : public Metrics {
 public:
  ClassificationMetrics(const DataSet& data_set, double temperature);
  absl::Status Add(const OutputBatch& batch) override;
  Score BestReachable() const override;
  Measurement Finish() override;

 private:
  struct Counted {
    LogitScore score;
    bool added = false;
  };

  void CountLabels(size_t classes);
  int64_t LabelOf(int64_t example) const {
    return data_set_.labels()[static_cast<size_t>(example)];
  }

  const DataSet& data_set_;
  const double inverse_temperature_;
  std::vector<Counted> examples_;
  int64_t added_ = 0;
  // Of the weights: all; of those added, what is not first, or not among the first five.
  const double weight_sum_;
  double top1_wrong_ = 0, top5_wrong_ = 0;
  // So far, in the order in which examples were added.
  Score sums_;
  // By class: all examples that have it; of those added, how many have it, for how many it was
  // predicted, and both.
  std::vector<int64_t> all_labels_, labels_, predicted_, correct_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_
