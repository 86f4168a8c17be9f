// Scores as numbers, and which of two is better.
#include <cmath>

#include "server/recipe/recipe.h"

namespace stockpot {

bool LowerIsBetter(Metric metric) {
  return metric == Metric::kCrossEntropy || metric == Metric::kMeanSquaredError ||
         metric == Metric::kPerplexity;
}

double MetricValue(Metric metric, const Score& score) {
  const double count = score.example_count > 0 ? static_cast<double>(score.example_count) : 1.0;
  const double top1 = static_cast<double>(score.top1_correct) / count;
  switch (metric) {
    case Metric::kTop1:
      return top1;
    case Metric::kTop5:
      return static_cast<double>(score.top5_correct) / count;
    case Metric::kCrossEntropy:
      return score.cross_entropy_sum / count;
    case Metric::kMeanPerClass:
      return score.mean_per_class;
    case Metric::kF1Binary:
      return score.f1_binary;
    case Metric::kF1Macro:
      return score.f1_macro;
    case Metric::kMatthews:
      return score.matthews;
    case Metric::kMeanOfAccuracyAndF1:
      return (top1 + score.f1_binary) / 2;
    case Metric::kPearson:
      return score.pearson;
    case Metric::kSpearman:
      return score.spearman;
    case Metric::kMeanOfPearsonAndSpearman:
      return (score.pearson + score.spearman) / 2;
    case Metric::kMeanSquaredError:
      return score.squared_error_sum / count;
    case Metric::kPerplexity:
      return std::exp(score.cross_entropy_sum / count);
  }
  return 0;
}

int CompareScores(Metric metric, const Score& a, const Score& b) {
  const auto compare = [](auto x, auto y) { return x < y ? -1 : (y < x ? 1 : 0); };
  switch (metric) {
    case Metric::kTop1:
      return compare(a.top1_correct, b.top1_correct);
    case Metric::kTop5:
      return compare(a.top5_correct, b.top5_correct);
    case Metric::kCrossEntropy:
    case Metric::kPerplexity:  // grows with the sum, which cannot overflow
      return compare(b.cross_entropy_sum, a.cross_entropy_sum);
    default:
      break;
  }
  const int higher = compare(MetricValue(metric, a), MetricValue(metric, b));
  return LowerIsBetter(metric) ? -higher : higher;
}

}  // namespace stockpot
