#include "server/worker/evaluation/score_bar.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "server/base/class_scores.h"
#include "server/worker/evaluation/regression_metrics.h"

namespace stockpot {

bool Clears(const ScoreBar& bar, const Score& score) {
  return ClearsBar(bar.metric, DecidingNumber(bar.metric, score), bar.number, bar.ties_win);
}

Score ScoreOf(const Measurement& measurement) {
  Score score;
  score.example_count = measurement.example_count;
  score.top1_correct = measurement.top1_correct;
  score.top5_correct = measurement.top5_correct;
  score.cross_entropy_sum = measurement.cross_entropy_sum;
  score.squared_error_sum = measurement.squared_error_sum;
  score.weight_sum = measurement.weight_sum;
  score.top1_weight = measurement.top1_weight;
  score.top5_weight = measurement.top5_weight;
  score.pearson = measurement.pearson;
  score.spearman = measurement.spearman;
  const auto widened = [](const std::vector<int32_t>& counts) {
    return std::vector<int64_t>(counts.begin(), counts.end());
  };
  const ClassScores classes =
      ScoreClasses(widened(measurement.label_counts), widened(measurement.predicted_counts),
                   widened(measurement.correct_counts));
  score.mean_per_class = classes.mean_per_class;
  score.f1_binary = classes.f1_binary;
  score.f1_macro = classes.f1_macro;
  score.matthews = classes.matthews;
  return score;
}

std::vector<int64_t> HardestFirst(int64_t count,
                                  absl::Span<const absl::Span<const float>> margins) {
  std::vector<double> sums(static_cast<size_t>(count));
  for (const absl::Span<const float> values : margins) {
    for (size_t i = 0; i < sums.size(); ++i) {
      // The margin of an only class is infinite, and of no use here.
      if (std::isfinite(values[i])) sums[i] += values[i];
    }
  }
  std::vector<int64_t> order(sums.size());
  std::iota(order.begin(), order.end(), 0);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    return sums[static_cast<size_t>(a)] < sums[static_cast<size_t>(b)];
  });
  return order;
}

std::vector<float> MarginsOf(const Measurement& measurement, Problem problem,
                             const DataSet& data_set) {
  if (problem == Problem::kClassification) return measurement.margins;
  std::vector<float> margins;
  for (size_t i = 0; i < measurement.outputs.size(); ++i) {
    const double error = measurement.outputs[i] - TargetOf(data_set, static_cast<int64_t>(i));
    margins.push_back(static_cast<float>(-error * error));
  }
  return margins;
}

}  // namespace stockpot
