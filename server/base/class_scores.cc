#include "server/base/class_scores.h"

#include <cmath>
#include <cstddef>

namespace stockpot {
namespace {

double Ratio(double numerator, double denominator) {
  return denominator > 0 ? numerator / denominator : 0;
}

double F1(int64_t labels, int64_t predicted, int64_t correct) {
  return Ratio(2 * static_cast<double>(correct), static_cast<double>(labels + predicted));
}

double Matthews(absl::Span<const int64_t> labels, absl::Span<const int64_t> predicted,
                absl::Span<const int64_t> correct) {
  double count = 0, right = 0, both = 0, labels_squared = 0, predicted_squared = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    const auto label = static_cast<double>(labels[i]);
    const auto guess = static_cast<double>(predicted[i]);
    count += label;
    right += static_cast<double>(correct[i]);
    both += label * guess;
    labels_squared += label * label;
    predicted_squared += guess * guess;
  }
  const double spread = (count * count - predicted_squared) * (count * count - labels_squared);
  return Ratio(right * count - both, std::sqrt(spread));
}

}  // namespace

ClassScores ScoreClasses(absl::Span<const int64_t> labels, absl::Span<const int64_t> predicted,
                         absl::Span<const int64_t> correct) {
  ClassScores scores;
  double recalls = 0, f1s = 0;
  int64_t with_examples = 0, seen = 0;
  for (size_t i = 0; i < labels.size(); ++i) {
    if (labels[i] > 0) {
      recalls += static_cast<double>(correct[i]) / static_cast<double>(labels[i]);
      ++with_examples;
    }
    if (labels[i] == 0 && predicted[i] == 0) continue;
    f1s += F1(labels[i], predicted[i], correct[i]);
    ++seen;
  }
  scores.mean_per_class = Ratio(recalls, static_cast<double>(with_examples));
  scores.f1_macro = Ratio(f1s, static_cast<double>(seen));
  if (labels.size() == 2) scores.f1_binary = F1(labels[1], predicted[1], correct[1]);
  scores.matthews = Matthews(labels, predicted, correct);
  return scores;
}

}  // namespace stockpot
