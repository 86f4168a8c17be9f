#include "server/worker/evaluation/language_metrics.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/logit_scores.h"

namespace stockpot {
namespace {

absl::Status LengthMismatch(int64_t given, int64_t expected) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("the model gives logits for ", given,
                                              " positions, but the labels have ", expected)),
      "MODEL_OUTPUT_MISMATCH");
}

}  // namespace

absl::Status LanguageMetrics::CheckLength(int64_t length) const {
  const bool differs = data_set_.length(0) > 0;
  const auto expected = static_cast<int64_t>(length_);
  if (differs ? length <= expected : length == expected) return absl::OkStatus();
  return LengthMismatch(length, expected);
}

absl::Status LanguageMetrics::Add(const OutputBatch& batch) {
  RETURN_IF_ERROR(CheckLength(batch.length));
  const auto classes = static_cast<size_t>(batch.classes),
             length = static_cast<size_t>(batch.length);
  std::vector<LabelledRow> rows;
  std::vector<size_t> places;
  for (size_t i = 0; i < static_cast<size_t>(batch.count); ++i) {
    const int64_t example = ExampleOf(batch, i);
    if (data_set_.length(example) > batch.length) {
      return LengthMismatch(batch.length, data_set_.length(example));
    }
    for (size_t position = 0; position < length; ++position) {
      const size_t place = static_cast<size_t>(example) * length_ + position;
      const int64_t label = data_set_.labels()[place];
      if (label == kIgnoredToken) continue;
      rows.push_back(
          {batch.values.subspan((i * length + position) * classes, classes), label, example});
      places.push_back(place);
    }
  }
  ASSIGN_OR_RETURN(const std::vector<LogitScore> scores, ScoreAll(rows, inverse_temperature_));
  for (size_t i = 0; i < scores.size(); ++i) {
    ++sums_.example_count;
    sums_.top1_correct += scores[i].rank == 0;
    sums_.top5_correct += scores[i].rank < 5;
    const double weight = WeightOf(data_set_, static_cast<int64_t>(places[i]));
    sums_.cross_entropy_sum += weight * scores[i].loss;
    top1_wrong_ += scores[i].rank == 0 ? 0 : weight;
    top5_wrong_ += scores[i].rank < 5 ? 0 : weight;
    const Counted token{places[i], scores[i]};
    if (data_set_.length(0) > 0) {
      out_of_order_.push_back(token);
    } else {
      Count(token);
    }
  }
  return absl::OkStatus();
}

void LanguageMetrics::Count(const Counted& token) {
  const double weight = WeightOf(data_set_, static_cast<int64_t>(token.place));
  AddScore(token.score, &measurement_, weight);
  if (data_set_.weights().empty()) return;
  measurement_.weight_sum += weight;
  measurement_.top1_weight += token.score.rank == 0 ? weight : 0;
  measurement_.top5_weight += token.score.rank < 5 ? weight : 0;
}

Score LanguageMetrics::BestReachable() const {
  const int64_t left = total_ - sums_.example_count;
  Score best;
  best.example_count = total_;
  best.top1_correct = sums_.top1_correct + left;
  best.top5_correct = sums_.top5_correct + left;
  best.cross_entropy_sum = SmallestSum(sums_.cross_entropy_sum, total_);
  best.weight_sum = weight_sum_;
  best.top1_weight = LargestSum(weight_sum_, top1_wrong_, total_);
  best.top5_weight = LargestSum(weight_sum_, top5_wrong_, total_);
  return best;
}

Measurement LanguageMetrics::Finish() {
  std::sort(out_of_order_.begin(), out_of_order_.end(),
            [](const Counted& a, const Counted& b) { return a.place < b.place; });
  for (const Counted& token : out_of_order_) Count(token);
  return std::move(measurement_);
}

}  // namespace stockpot
