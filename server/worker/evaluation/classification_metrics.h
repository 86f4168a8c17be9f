// Scores of classification: those of logit_scores.h, counts by class, calibration.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_

#include <vector>

#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class ClassificationMetrics final : public Metrics {
 public:
  ClassificationMetrics(const DataSet& data_set, double temperature);
  absl::Status Add(const OutputBatch& batch) override;
  Measurement Finish() override;

 private:
  const DataSet& data_set_;
  const double inverse_temperature_;
  Measurement measurement_;
  std::vector<double> confidences_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CLASSIFICATION_METRICS_H_
