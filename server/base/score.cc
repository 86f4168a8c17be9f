#include "server/base/score.h"

#include <cmath>

namespace stockpot {
namespace {

struct MetricEntry {
  Metric metric;
  absl::string_view name;
};

constexpr MetricEntry kMetrics[] = {
    {Metric::kTop1, "TOP1"},
    {Metric::kTop5, "TOP5"},
    {Metric::kCrossEntropy, "CROSS_ENTROPY"},
    {Metric::kMeanPerClass, "MEAN_PER_CLASS"},
    {Metric::kF1Binary, "F1_BINARY"},
    {Metric::kF1Macro, "F1_MACRO"},
    {Metric::kMatthews, "MATTHEWS"},
    {Metric::kMeanOfAccuracyAndF1, "MEAN_OF_ACCURACY_AND_F1"},
    {Metric::kPearson, "PEARSON"},
    {Metric::kSpearman, "SPEARMAN"},
    {Metric::kMeanOfPearsonAndSpearman, "MEAN_OF_PEARSON_AND_SPEARMAN"},
    {Metric::kMeanSquaredError, "MEAN_SQUARED_ERROR"},
    {Metric::kPerplexity, "PERPLEXITY"},
};

}  // namespace

absl::string_view MetricName(Metric metric) {
  for (const MetricEntry& entry : kMetrics) {
    if (entry.metric == metric) return entry.name;
  }
  return "";
}

std::optional<Metric> MetricOfName(absl::string_view name) {
  for (const MetricEntry& entry : kMetrics) {
    if (entry.name == name) return entry.metric;
  }
  return std::nullopt;
}

std::vector<Metric> AllMetrics() {
  std::vector<Metric> metrics;
  for (const MetricEntry& entry : kMetrics) metrics.push_back(entry.metric);
  return metrics;
}

bool LowerIsBetter(Metric metric) {
  return metric == Metric::kCrossEntropy || metric == Metric::kMeanSquaredError ||
         metric == Metric::kPerplexity;
}

bool TakesWeights(Metric metric) {
  return metric == Metric::kTop1 || metric == Metric::kTop5 || metric == Metric::kCrossEntropy ||
         metric == Metric::kPerplexity || metric == Metric::kMeanSquaredError;
}

double MetricValue(Metric metric, const Score& score) {
  const bool weighted = score.weight_sum > 0;
  const double examples = score.example_count > 0 ? static_cast<double>(score.example_count) : 1.0;
  const double count = weighted ? score.weight_sum : examples;
  const double top1 = DecidingNumber(Metric::kTop1, score) / count;
  switch (metric) {
    case Metric::kTop1:
      return top1;
    case Metric::kTop5:
      return DecidingNumber(Metric::kTop5, score) / count;
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

double DecidingNumber(Metric metric, const Score& score) {
  switch (metric) {
    case Metric::kTop1:
      return score.weight_sum > 0 ? score.top1_weight : static_cast<double>(score.top1_correct);
    case Metric::kTop5:
      return score.weight_sum > 0 ? score.top5_weight : static_cast<double>(score.top5_correct);
    case Metric::kCrossEntropy:
    case Metric::kPerplexity:  // grows with the sum, which cannot overflow
      return score.cross_entropy_sum;
    default:
      return MetricValue(metric, score);
  }
}

int CompareNumbers(Metric metric, double a, double b) {
  const int higher = a < b ? -1 : (b < a ? 1 : 0);
  return LowerIsBetter(metric) ? -higher : higher;
}

int CompareScores(Metric metric, const Score& a, const Score& b) {
  return CompareNumbers(metric, DecidingNumber(metric, a), DecidingNumber(metric, b));
}

bool ClearsBar(Metric metric, double number, double bar, bool ties_win) {
  const int comparison = CompareNumbers(metric, number, bar);
  return comparison > 0 || (comparison == 0 && ties_win);
}

}  // namespace stockpot
