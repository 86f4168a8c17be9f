// Scores of regression: squared error, Pearson's and Spearman's correlation of outputs and labels.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_

#include <cstdint>
#include <vector>

#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class RegressionMetrics final : public Metrics {
 public:
  explicit RegressionMetrics(const DataSet& data_set);
  absl::Status Add(const OutputBatch& batch) override;
  Score BestReachable() const override;
  Measurement Finish() override;

 private:
  struct Counted {
    float output = 0;
    bool added = false;
  };

  const DataSet& data_set_;
  std::vector<Counted> examples_;
  double squared_error_sum_ = 0;  // in the order in which examples were added
};

// What the output of an example should be.
double TargetOf(const DataSet& data_set, int64_t example);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_REGRESSION_METRICS_H_
