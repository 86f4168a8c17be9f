#include "server/worker/evaluation/classification_metrics.h"

#include <utility>

#include "server/base/status.h"
#include "server/worker/evaluation/calibration.h"
#include "server/worker/evaluation/logit_scores.h"

namespace stockpot {

ClassificationMetrics::ClassificationMetrics(const DataSet& data_set, double temperature)
    : data_set_(data_set), inverse_temperature_(1 / temperature) {
  const auto examples = static_cast<size_t>(data_set.size());
  measurement_.margins.reserve(examples);
  measurement_.correct_bits.reserve((examples + 7) / 8);
  confidences_.reserve(examples);
}

absl::Status ClassificationMetrics::Add(const OutputBatch& batch) {
  const auto classes = static_cast<size_t>(batch.classes);
  Measurement& sums = measurement_;
  for (auto* counts : {&sums.label_counts, &sums.predicted_counts, &sums.correct_counts}) {
    counts->resize(classes);
  }
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    const int64_t example = batch.first + static_cast<int64_t>(i);
    const int64_t label = data_set_.labels()[static_cast<size_t>(example)];
    ASSIGN_OR_RETURN(const LogitScore score, ScoreLogits(batch.values.subspan(i * classes, classes),
                                                         label, inverse_temperature_, example));
    AddScore(score, &sums);
    confidences_.push_back(score.confidence);
    ++sums.label_counts[static_cast<size_t>(label)];
    ++sums.predicted_counts[score.predicted];
    sums.correct_counts[score.predicted] += score.rank == 0;
  }
  return absl::OkStatus();
}

Measurement ClassificationMetrics::Finish() {
  measurement_.ece_equal_mass = EqualMassEce(confidences_, measurement_.correct_bits);
  measurement_.ece_equal_width = EqualWidthEce(confidences_, measurement_.correct_bits);
  return std::move(measurement_);
}

}  // namespace stockpot
