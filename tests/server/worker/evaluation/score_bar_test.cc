// A pass that ends early must have been decided: against every way the rest could have gone that
// random data sets and orders come up with.
#include "server/worker/evaluation/score_bar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <random>

#include "server/worker/evaluation/metrics.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

constexpr int64_t kBatch = 3;

// What a model gave, and what it should have given.
struct ScoredOutputs {
  Problem problem;
  std::vector<float> values;  // [examples, length, classes]
  int64_t classes, length;
  MemoryDataSet data_set;
};

std::vector<float> Draw(size_t count, std::mt19937* random) {
  std::vector<float> values(count);
  // Few distinct values: ties are common.
  for (float& value : values) value = static_cast<float>((*random)() % 9) / 2 - 2;
  return values;
}

std::vector<int64_t> DrawLabels(size_t count, int64_t classes, std::mt19937* random) {
  std::vector<int64_t> labels(count);
  for (int64_t& label : labels) label = static_cast<int64_t>((*random)()) % classes;
  return labels;
}

ScoredOutputs DrawOutputs(Problem problem, std::mt19937* random) {
  const auto examples = static_cast<size_t>(5 + (*random)() % 60);
  if (problem == Problem::kRegression) {
    const std::vector<float> targets = Draw(examples, random);
    return {problem, Draw(examples, random), 1, 1,
            MemoryDataSet::OfNumbers({targets.begin(), targets.end()})};
  }
  const auto classes = static_cast<int64_t>(2 + (*random)() % 7);
  if (problem == Problem::kClassification) {
    return {problem, Draw(examples * static_cast<size_t>(classes), random), classes, 1,
            MemoryDataSet::OfClasses(DrawLabels(examples, classes, random))};
  }
  const int64_t length = 4;
  std::vector<int64_t> tokens = DrawLabels(examples * static_cast<size_t>(length), classes, random);
  for (int64_t& token : tokens) token = (*random)() % 5 == 0 ? kIgnoredToken : token;
  return {problem, Draw(tokens.size() * static_cast<size_t>(classes), random), classes, length,
          MemoryDataSet::OfTokens(static_cast<int64_t>(examples), std::move(tokens))};
}

// Adds them in this order; `after_batch` says whether to go on.
template <typename AfterBatch>
void AddAll(const ScoredOutputs& outputs, absl::Span<const int64_t> order, Metrics* metrics,
            AfterBatch after_batch) {
  const auto width = static_cast<size_t>(outputs.length * outputs.classes);
  for (size_t first = 0; first < order.size(); first += kBatch) {
    const absl::Span<const int64_t> examples = order.subspan(first, kBatch);
    std::vector<float> values;
    for (const int64_t example : examples) {
      const auto row = outputs.values.begin() +
                       static_cast<std::ptrdiff_t>(example) * static_cast<std::ptrdiff_t>(width);
      values.insert(values.end(), row, row + static_cast<std::ptrdiff_t>(width));
    }
    ASSERT_TRUE(metrics
                    ->Add({.first = static_cast<int64_t>(first),
                           .count = static_cast<int64_t>(examples.size()),
                           .examples = examples,
                           .length = outputs.length,
                           .classes = outputs.classes,
                           .values = values})
                    .ok());
    if (!after_batch()) return;
  }
}

std::vector<int64_t> InOrder(const ScoredOutputs& outputs) {
  std::vector<int64_t> order(static_cast<size_t>(outputs.data_set.size()));
  std::iota(order.begin(), order.end(), 0);
  return order;
}

Measurement MeasureAll(const ScoredOutputs& outputs, const std::vector<int64_t>& order) {
  const auto metrics = *Metrics::Create(outputs.problem, outputs.data_set);
  AddAll(outputs, order, metrics.get(), [] { return true; });
  return metrics->Finish();
}

bool IsOf(Metric metric, Problem problem) {
  switch (metric) {
    case Metric::kPearson:
    case Metric::kSpearman:
    case Metric::kMeanOfPearsonAndSpearman:
    case Metric::kMeanSquaredError:
      return problem == Problem::kRegression;
    case Metric::kPerplexity:
      return problem == Problem::kLanguageModel;
    case Metric::kTop1:
    case Metric::kTop5:
    case Metric::kCrossEntropy:
      return problem != Problem::kRegression;
    default:
      return problem == Problem::kClassification;
  }
}

// How often a pass cleared a bar, and was dropped before its end, which none that clears may be.
struct Tally {
  std::map<Metric, int> cleared, dropped_early;

  // A bar as good as `score`, which is that of the whole pass, a little worse, or a little better.
  void Try(Metric metric, const ScoredOutputs& outputs, const std::vector<int64_t>& order,
           const Score& score, std::mt19937* random, int round) {
    const double own = DecidingNumber(metric, score);
    const ScoreBar bar{metric, own * (0.8 + 0.1 * static_cast<double>((*random)() % 5)),
                       (*random)() % 2 == 0};
    const bool clears = Clears(bar, score);
    cleared[metric] += clears;
    const auto metrics = *Metrics::Create(outputs.problem, outputs.data_set);
    int64_t batches = 0;
    AddAll(outputs, order, metrics.get(), [&] {
      const bool reachable = Clears(bar, metrics->BestReachable());
      EXPECT_TRUE(reachable || !clears) << MetricName(metric) << " round " << round;
      const bool whole = ++batches * kBatch >= outputs.data_set.size();
      dropped_early[metric] += !reachable && !whole;
      return reachable;
    });
  }
};

// A proof of a bound is a proof only if no pass that ends so would have cleared it.
TEST(EarlyStopping, NeverDropsWhatClearsTheBar) {
  std::mt19937 random(11);
  Tally tally;
  for (int round = 0; round < 1500; ++round) {
    const auto problem = static_cast<Problem>(round % 3);
    const ScoredOutputs outputs = DrawOutputs(problem, &random);
    std::vector<int64_t> order = InOrder(outputs);
    if (problem != Problem::kLanguageModel) std::shuffle(order.begin(), order.end(), random);
    const Score score = ScoreOf(MeasureAll(outputs, InOrder(outputs)));
    for (const Metric metric : AllMetrics()) {
      if (!IsOf(metric, problem)) continue;
      tally.Try(metric, outputs, order, score, &random, round);
    }
  }
  for (const Metric metric : AllMetrics()) {
    EXPECT_GT(tally.cleared[metric], 20) << MetricName(metric);
    const bool has_no_bound = metric == Metric::kPearson || metric == Metric::kSpearman ||
                              metric == Metric::kMeanOfPearsonAndSpearman;
    EXPECT_EQ(tally.dropped_early[metric] == 0, has_no_bound) << MetricName(metric);
  }
}

// The same of examples that have weights, some of them 0, and none whose sums are exact.
TEST(EarlyStopping, NeverDropsWhatClearsTheBarByItsWeights) {
  std::mt19937 random(13);
  Tally tally;
  for (int round = 0; round < 900; ++round) {
    ScoredOutputs outputs = DrawOutputs(static_cast<Problem>(round % 3), &random);
    const bool of_tokens = outputs.problem == Problem::kLanguageModel;
    std::vector<double> weights(of_tokens ? outputs.data_set.labels().size()
                                          : static_cast<size_t>(outputs.data_set.size()));
    for (double& weight : weights) weight = static_cast<double>(random() % 7) / 10;
    weights[0] = 0.1;
    for (size_t i = 0; of_tokens && i < weights.size(); ++i) {
      if (outputs.data_set.labels()[i] == kIgnoredToken) weights[i] = 0;
    }
    outputs.data_set = std::move(outputs.data_set).WithWeights(std::move(weights));
    std::vector<int64_t> order = InOrder(outputs);
    if (!of_tokens) std::shuffle(order.begin(), order.end(), random);
    const Score score = ScoreOf(MeasureAll(outputs, InOrder(outputs)));
    for (const Metric metric : AllMetrics()) {
      if (!IsOf(metric, outputs.problem) || !TakesWeights(metric)) continue;
      tally.Try(metric, outputs, order, score, &random, round);
    }
  }
  for (const Metric metric : AllMetrics()) {
    if (!TakesWeights(metric)) continue;
    EXPECT_GT(tally.cleared[metric], 20) << MetricName(metric);
    EXPECT_GT(tally.dropped_early[metric], 20) << MetricName(metric);
  }
}

// The order in which examples came leaves no trace in a measurement.
TEST(EarlyStopping, AnyOrderGivesTheSameMeasurement) {
  std::mt19937 random(12);
  for (int round = 0; round < 100; ++round) {
    const ScoredOutputs outputs = DrawOutputs(static_cast<Problem>(round % 2), &random);
    const Measurement expected = MeasureAll(outputs, InOrder(outputs));
    std::vector<int64_t> order = InOrder(outputs);
    std::shuffle(order.begin(), order.end(), random);
    const Measurement found = MeasureAll(outputs, order);
    EXPECT_EQ(found.cross_entropy_sum, expected.cross_entropy_sum);
    EXPECT_EQ(found.correct_bits, expected.correct_bits);
    EXPECT_EQ(found.margins, expected.margins);
    EXPECT_EQ(found.predicted_counts, expected.predicted_counts);
    EXPECT_EQ(found.ece_equal_mass, expected.ece_equal_mass);
    EXPECT_EQ(found.outputs, expected.outputs);
    EXPECT_EQ(found.squared_error_sum, expected.squared_error_sum);
    EXPECT_EQ(found.pearson, expected.pearson);
  }
}

TEST(EarlyStopping, OneMoreWrongThanTheBarAllowsIsTheProof) {
  // 10 examples, 7 right is the bar: 3 wrong ones tie with it, 4 are worse.
  const ScoredOutputs outputs{Problem::kClassification, std::vector<float>(20, 0.0f), 2, 1,
                              MemoryDataSet::OfClasses({1, 1, 1, 1, 0, 0, 0, 0, 0, 0})};
  for (const bool ties_win : {false, true}) {
    const auto metrics = *Metrics::Create(outputs.problem, outputs.data_set);
    int64_t seen = 0;
    AddAll(outputs, InOrder(outputs), metrics.get(), [&] {
      seen += kBatch;
      return Clears({Metric::kTop1, 7, ties_win}, metrics->BestReachable());
    });
    EXPECT_EQ(seen, ties_win ? 6 : 3);
  }
}

TEST(HardestFirst, IsByTheMeanOfTheMarginsThenAsGiven) {
  const std::vector<float> a = {1, -2, 3, 1}, b = {1, 0, -9, 1};
  EXPECT_THAT(HardestFirst(4, {a, b}), testing::ElementsAre(2, 1, 0, 3));
  EXPECT_THAT(HardestFirst(3, {}), testing::ElementsAre(0, 1, 2));
}

}  // namespace
}  // namespace stockpot
