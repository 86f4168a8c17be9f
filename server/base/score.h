// What a pass over a data set finds, and which of two results is better: what the server decides by
// and a worker may stop early by, so that both decide the same.
//
// Source: proto/stockpot/v1/spec.proto says what each metric is, DESIGN.md section 4 how it is
// counted. Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_SCORE_H_
#define STOCKPOT_SERVER_BASE_SCORE_H_

#include <cstdint>
#include <optional>
#include <vector>

#include "absl/strings/string_view.h"

namespace stockpot {

enum class Metric {
  kTop1,
  kTop5,
  kCrossEntropy,
  kMeanPerClass,
  kF1Binary,
  kF1Macro,
  kMatthews,
  kMeanOfAccuracyAndF1,
  kPearson,
  kSpearman,
  kMeanOfPearsonAndSpearman,
  kMeanSquaredError,
  kPerplexity,
};

// As the proto's enumerators: "TOP1", …
absl::string_view MetricName(Metric metric);
std::optional<Metric> MetricOfName(absl::string_view name);
std::vector<Metric> AllMetrics();

// One full pass over one data set. Counts are exact; sums are float64. What a problem does not have
// is 0.
struct Score {
  int64_t example_count = 0;
  int64_t top1_correct = 0;
  int64_t top5_correct = 0;
  double cross_entropy_sum = 0;
  int batch_size = 0;  // examples per forward pass

  double mean_per_class = 0, f1_binary = 0, f1_macro = 0, matthews = 0;
  double ece_equal_mass = 0, ece_equal_width = 0;
  double squared_error_sum = 0, pearson = 0, spearman = 0;
  double temperature = 1;  // by which an ensemble's logits were divided

  // Of a set whose examples have weights: their sum, and those of what is right; sums of losses are
  // weighted then. 0: it has none.
  double weight_sum = 0, top1_weight = 0, top5_weight = 0;
};

// Whether the metric is made of means over examples, so that they can have weights.
bool TakesWeights(Metric metric);

// The metric as a number for people: a rate, a mean, a correlation.
double MetricValue(Metric metric, const Score& score);
bool LowerIsBetter(Metric metric);

// The number that two scores of one data set are compared by: a count, a sum, or MetricValue().
double DecidingNumber(Metric metric, const Score& score);

// Negative: `a` is worse than `b`; zero: they tie; positive: better. The first as deciding numbers.
int CompareNumbers(Metric metric, double a, double b);
int CompareScores(Metric metric, const Score& a, const Score& b);
// Whether a deciding number is better than the bar, or, when ties win, as good.
bool ClearsBar(Metric metric, double number, double bar, bool ties_win);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_SCORE_H_
