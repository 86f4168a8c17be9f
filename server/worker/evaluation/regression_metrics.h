// Scores of regression: squared error, Pearson's and Spearman's correlation of outputs and labels.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_

#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class RegressionMetrics final : public Metrics {
 public:
  explicit RegressionMetrics(const DataSet& data_set) : data_set_(data_set) {}
  absl::Status Add(const OutputBatch& batch) override;
  Measurement Finish() override;

 private:
  const DataSet& data_set_;
  Measurement measurement_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_
