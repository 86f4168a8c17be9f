// Scores of a language model: those of logit_scores.h, over the tokens that count.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_

#include <algorithm>
#include <cstdint>

#include "server/worker/evaluation/metrics.h"

namespace stockpot {

class LanguageMetrics final : public Metrics {
 public:
  LanguageMetrics(const DataSet& data_set, double temperature)
      : data_set_(data_set),
        inverse_temperature_(1 / temperature),
        total_(std::count_if(data_set.labels().begin(), data_set.labels().end(),
                             [](int64_t label) { return label != kIgnoredToken; })) {}
  absl::Status Add(const OutputBatch& batch) override;
  Score BestReachable() const override;
  Measurement Finish() override;

 private:
  const DataSet& data_set_;
  const double inverse_temperature_;
  const int64_t total_;  // tokens that count
  Measurement measurement_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LANGUAGE_METRICS_H_
