#include "server/worker/evaluation/language_metrics.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/logit_scores.h"

namespace stockpot {

absl::Status LanguageMetrics::Add(const OutputBatch& batch) {
  const int64_t length = static_cast<int64_t>(data_set_.labels().size()) / data_set_.size();
  if (batch.length != length) {
    return WithReason(
        absl::InvalidArgumentError(absl::StrCat("the model gives logits for ", batch.length,
                                                " positions, but the labels have ", length)),
        "MODEL_OUTPUT_MISMATCH");
  }
  const auto classes = static_cast<size_t>(batch.classes);
  const auto first = static_cast<size_t>(batch.first * length);
  std::vector<LabelledRow> rows;
  for (size_t i = 0; i < static_cast<size_t>(batch.count * length); ++i) {
    const int64_t label = data_set_.labels()[first + i];
    if (label == kIgnoredToken) continue;
    rows.push_back({batch.values.subspan(i * classes, classes), label,
                    static_cast<int64_t>(first + i) / length});
  }
  ASSIGN_OR_RETURN(const std::vector<LogitScore> scores, ScoreAll(rows, inverse_temperature_));
  for (const LogitScore& score : scores) AddScore(score, &measurement_);
  return absl::OkStatus();
}

Score LanguageMetrics::BestReachable() const {
  const int64_t left = total_ - measurement_.example_count;
  Score best;
  best.example_count = total_;
  best.top1_correct = measurement_.top1_correct + left;
  best.top5_correct = measurement_.top5_correct + left;
  best.cross_entropy_sum = SmallestSum(measurement_.cross_entropy_sum, total_);
  return best;
}

Measurement LanguageMetrics::Finish() { return std::move(measurement_); }

}  // namespace stockpot
