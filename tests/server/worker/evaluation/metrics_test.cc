#include "server/worker/evaluation/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "server/base/status.h"
#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

OutputBatch Batch(absl::Span<const float> logits, int64_t classes, int64_t first = 0) {
  return {.first = first,
          .count = static_cast<int64_t>(logits.size()) / classes,
          .examples = {},
          .classes = classes,
          .values = logits};
}

Measurement Count(const std::vector<float>& logits, int64_t classes,
                  const std::vector<int64_t>& labels, double temperature = 1) {
  const auto data_set = MemoryDataSet::OfClasses(labels);
  auto metrics = Metrics::Create(Problem::kClassification, data_set, temperature);
  EXPECT_TRUE(metrics.ok()) << metrics.status();
  EXPECT_TRUE((*metrics)->Add(Batch(logits, classes)).ok());
  return (*metrics)->Finish();
}

// What counting gives that must not succeed.
absl::Status Refusal(const std::vector<float>& logits, int64_t classes,
                     const std::vector<int64_t>& labels) {
  const auto data_set = MemoryDataSet::OfClasses(labels);
  return (*Metrics::Create(Problem::kClassification, data_set))->Add(Batch(logits, classes));
}

TEST(Metrics, CountsWhatIsLargest) {
  const Measurement found = Count({1, 3, 2, 9, 0, 1}, 3, {1, 2});
  EXPECT_EQ(found.example_count, 2);
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.top5_correct, 2) << "below six classes every label is among five";
  EXPECT_EQ(found.correct_bits, std::string("\1", 1));
  EXPECT_THAT(found.margins, testing::ElementsAre(1.0f, -8.0f));
}

TEST(Metrics, FirstOfEqualLogitsWinsAsArgmaxHasIt) {
  EXPECT_EQ(Count({2, 2, 2}, 3, {0}).top1_correct, 1);
  EXPECT_EQ(Count({2, 2, 2}, 3, {1}).top1_correct, 0);
  EXPECT_EQ(Count({2, 2, 2}, 3, {2}).top1_correct, 0);
  EXPECT_EQ(Count({0.0f, -0.0f}, 2, {1}).top1_correct, 0);
  EXPECT_EQ(Count({1, 2, 2}, 3, {1}).margins[0], 0.0f);
}

TEST(Metrics, TopFiveRanksEqualLogitsByIndex) {
  const std::vector<float> equal(7, 1.0f);
  EXPECT_EQ(Count(equal, 7, {4}).top5_correct, 1);
  EXPECT_EQ(Count(equal, 7, {5}).top5_correct, 0);
  EXPECT_EQ(Count({6, 5, 4, 3, 2, 1}, 6, {4}).top5_correct, 1);
  EXPECT_EQ(Count({6, 5, 4, 3, 2, 1}, 6, {5}).top5_correct, 0);
}

TEST(Metrics, CrossEntropyIsExactForHugeLogits) {
  EXPECT_DOUBLE_EQ(Count({0, 0}, 2, {0}).cross_entropy_sum, std::log(2.0));
  EXPECT_DOUBLE_EQ(Count({1e30f, 1e30f}, 2, {1}).cross_entropy_sum, std::log(2.0));
  EXPECT_DOUBLE_EQ(Count({-1e30f, 0}, 2, {1}).cross_entropy_sum, 0.0);
  EXPECT_NEAR(Count({1, 2, 3}, 3, {0}).cross_entropy_sum, 2.4076059644443806, 1e-15);
}

TEST(Metrics, MaskedClassesMayBeMinusInfinity) {
  const Measurement found = Count({5, -kInfinity}, 2, {0});
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.cross_entropy_sum, 0.0);
}

TEST(Metrics, BatchesAddUpToTheWhole) {
  std::vector<float> logits;
  std::vector<int64_t> labels;
  for (int i = 0; i < 21; ++i) {
    for (int c = 0; c < 6; ++c) logits.push_back(std::sin(static_cast<float>(i * 6 + c)));
    labels.push_back(i % 6);
  }
  const Measurement whole = Count(logits, 6, labels);
  const auto data_set = MemoryDataSet::OfClasses(labels);
  const auto metrics = *Metrics::Create(Problem::kClassification, data_set);
  const absl::Span<const float> all(logits);
  for (const auto& [first, count] : {std::pair<size_t, size_t>{0, 3}, {3, 11}, {14, 7}}) {
    const auto batch = Batch(all.subspan(first * 6, count * 6), 6, static_cast<int64_t>(first));
    ASSERT_TRUE(metrics->Add(batch).ok());
  }
  const Measurement parts = metrics->Finish();
  EXPECT_EQ(parts.top1_correct, whole.top1_correct);
  EXPECT_EQ(parts.top5_correct, whole.top5_correct);
  EXPECT_EQ(parts.cross_entropy_sum, whole.cross_entropy_sum);
  EXPECT_EQ(parts.correct_bits, whole.correct_bits);
  EXPECT_EQ(parts.margins, whole.margins);
  EXPECT_EQ(parts.predicted_counts, whole.predicted_counts);
  EXPECT_EQ(parts.ece_equal_mass, whole.ece_equal_mass);
  EXPECT_EQ(whole.correct_bits.size(), 3u);
}

TEST(Metrics, NotFiniteLogitsNameTheExample) {
  for (const float bad : {kNan, kInfinity}) {
    const absl::Status status = Refusal({0, 1, bad, 1}, 2, {0, 1});
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss);
    EXPECT_EQ(GetErrorFacts(status).reason, "NON_FINITE_OUTPUT");
    EXPECT_EQ(GetErrorFacts(status).metadata["example"], "1");
  }
  EXPECT_TRUE(absl::IsDataLoss(Refusal({-kInfinity, 0}, 2, {0})));
}

TEST(Metrics, LabelsBeyondTheLogitsNameExampleAndLabel) {
  for (const int64_t label : {int64_t{2}, int64_t{-1}, std::numeric_limits<int64_t>::max()}) {
    const absl::Status status = Refusal({0, 1}, 2, {label});
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    EXPECT_EQ(GetErrorFacts(status).reason, "LABEL_OUT_OF_RANGE");
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(std::to_string(label)));
  }
}

TEST(Metrics, OneClassHasNoOther) {
  const Measurement found = Count({3}, 1, {0});
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.margins[0], kInfinity);
}

TEST(Metrics, CountsByClass) {
  // Predictions 1, 0, 2, 1 for labels 1, 1, 2, 0.
  const Measurement found = Count({0, 1, 0, 3, 1, 2, 0, 0, 1, 0, 1, 0}, 3, {1, 1, 2, 0});
  EXPECT_THAT(found.label_counts, testing::ElementsAre(1, 2, 1));
  EXPECT_THAT(found.predicted_counts, testing::ElementsAre(1, 2, 1));
  EXPECT_THAT(found.correct_counts, testing::ElementsAre(0, 1, 1));
}

TEST(Metrics, CalibrationIsOfTheLargestProbability) {
  // Probabilities 3/4 (right) and 1/2 (wrong): bins of one example each, 1/4 and 1/2 away.
  const float three = std::log(3.0f);
  const Measurement found = Count({three, 0, 0, 0}, 2, {0, 1});
  EXPECT_NEAR(found.ece_equal_mass, (0.25 + 0.5) / 2, 1e-7);
  EXPECT_NEAR(found.ece_equal_width, (0.25 + 0.5) / 2, 1e-7);
}

TEST(Metrics, TemperatureChangesLossesAndMarginsButNotWhatIsRight) {
  const std::vector<float> logits = {4, 2, 0, 6, 0, 1};
  const Measurement scaled = Count(logits, 2, {0, 0, 1}, 2);
  const Measurement halves = Count({2, 1, 0, 3, 0, 0.5f}, 2, {0, 0, 1});
  EXPECT_DOUBLE_EQ(scaled.cross_entropy_sum, halves.cross_entropy_sum);
  EXPECT_EQ(scaled.margins, halves.margins);
  // Neighbours that are no longer told apart once they are divided and rounded to float32.
  float low = 1.5f, high = std::nextafter(low, 2.0f);
  while (static_cast<float>(low / 1.5) != static_cast<float>(high / 1.5)) {
    low = high;
    high = std::nextafter(low, 2.0f);
  }
  EXPECT_EQ(Count({low, high}, 2, {1}, 1.5).top1_correct, 1);
}

TEST(Metrics, RegressionHasErrorsAndCorrelations) {
  const auto data_set = MemoryDataSet::OfNumbers({1, 2, 4});
  const auto metrics = *Metrics::Create(Problem::kRegression, data_set);
  const std::vector<float> outputs = {3, 2, 7};
  ASSERT_TRUE(metrics->Add(Batch(outputs, 1)).ok());
  const Measurement found = metrics->Finish();
  EXPECT_EQ(found.example_count, 3);
  EXPECT_EQ(found.outputs, outputs);
  EXPECT_EQ(found.squared_error_sum, 4 + 0 + 9);
  // Deviations (-1, -2, 3) and (-4, -1, 5) / 3: 21/3 over sqrt(14 · 42/9).
  EXPECT_NEAR(found.pearson, 7 / std::sqrt(14 * 42 / 9.0), 1e-15);
  EXPECT_NEAR(found.spearman, 0.5, 1e-15) << "ranks 2 1 3 and 1 2 3";
  EXPECT_TRUE(found.margins.empty());
}

TEST(Metrics, RegressionTakesIntegerLabels) {
  const auto data_set = MemoryDataSet::OfClasses({1, 2});
  const auto metrics = *Metrics::Create(Problem::kRegression, data_set);
  ASSERT_TRUE(metrics->Add(Batch(std::vector<float>{2, 2}, 1)).ok());
  const Measurement found = metrics->Finish();
  EXPECT_EQ(found.squared_error_sum, 1);
  EXPECT_EQ(found.pearson, 0) << "constant outputs";
}

TEST(Metrics, RegressionOutputsMustBeFinite) {
  const auto data_set = MemoryDataSet::OfNumbers({1, 2});
  const auto metrics = *Metrics::Create(Problem::kRegression, data_set);
  const absl::Status status = metrics->Add(Batch(std::vector<float>{2, kNan}, 1));
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
  EXPECT_EQ(GetErrorFacts(status).reason, "NON_FINITE_OUTPUT");
  EXPECT_EQ(GetErrorFacts(status).metadata["example"], "1");
}

TEST(Metrics, LanguageModelsCountTheTokensThatCount) {
  const auto data_set = MemoryDataSet::OfTokens(2, {1, kIgnoredToken, kIgnoredToken, 0});
  const auto metrics = *Metrics::Create(Problem::kLanguageModel, data_set);
  const std::vector<float> logits = {0, 2, kNan, kNan, kNan, kNan, 0, 5};
  for (int64_t i = 0; i < 2; ++i) {
    ASSERT_TRUE(
        metrics
            ->Add({.first = i,
                   .count = 1,
                   .examples = {},
                   .length = 2,
                   .classes = 2,
                   .values = absl::MakeConstSpan(logits).subspan(static_cast<size_t>(i) * 4, 4)})
            .ok());
  }
  const Measurement found = metrics->Finish();
  EXPECT_EQ(found.example_count, 2);
  EXPECT_EQ(found.top1_correct, 1);
  EXPECT_EQ(found.correct_bits, std::string("\1", 1));
  EXPECT_THAT(found.margins, testing::ElementsAre(2.0f, -5.0f));
  EXPECT_NEAR(found.cross_entropy_sum, std::log1p(std::exp(-2.0)) + std::log1p(std::exp(5.0)),
              1e-14);
  EXPECT_TRUE(found.label_counts.empty());
}

TEST(Metrics, TokensCountTheirWeights) {
  const auto data_set =
      MemoryDataSet::OfTokens(2, {1, kIgnoredToken, 1, 0}).WithWeights({0.1, 0, 0.7, 0.3});
  const auto metrics = *Metrics::Create(Problem::kLanguageModel, data_set);
  const std::vector<float> logits = {0, 2, kNan, kNan, 0, 2, 0, 5};
  ASSERT_TRUE(
      metrics
          ->Add(
              {.first = 0, .count = 2, .examples = {}, .length = 2, .classes = 2, .values = logits})
          .ok());
  const Measurement found = metrics->Finish();
  EXPECT_EQ(found.example_count, 3);
  EXPECT_EQ(found.top1_correct, 2);
  EXPECT_EQ(found.weight_sum, 0.1 + 0.7 + 0.3) << "in the labels' order";
  EXPECT_EQ(found.top1_weight, 0.1 + 0.7);
  EXPECT_EQ(found.top5_weight, found.weight_sum);
  EXPECT_NEAR(found.cross_entropy_sum,
              0.8 * std::log1p(std::exp(-2.0)) + 0.3 * std::log1p(std::exp(5.0)), 1e-14);
}

TEST(Metrics, LanguageModelsWhoseLengthIsAnotherAreRefused) {
  const auto data_set = MemoryDataSet::OfTokens(1, {1, 0});
  const auto metrics = *Metrics::Create(Problem::kLanguageModel, data_set);
  const std::vector<float> logits(6, 0.0f);
  const absl::Status status = metrics->Add(
      {.first = 0, .count = 1, .examples = {}, .length = 3, .classes = 2, .values = logits});
  EXPECT_EQ(GetErrorFacts(status).reason, "MODEL_OUTPUT_MISMATCH") << status;
}

TEST(Metrics, LabelsOfAnotherProblemAreRefused) {
  const auto classes = MemoryDataSet::OfClasses({0});
  const auto numbers = MemoryDataSet::OfNumbers({0});
  const auto tokens = MemoryDataSet::OfTokens(1, {0});
  const struct {
    Problem problem;
    const DataSet& data_set;
    std::string says;  // "": fits
  } cases[] = {
      {Problem::kClassification, classes, ""},
      {Problem::kClassification, numbers, "are floating-point [N]"},
      {Problem::kClassification, tokens, "are integers [N, length]"},
      {Problem::kRegression, classes, ""},
      {Problem::kRegression, numbers, ""},
      {Problem::kRegression, tokens, "(REGRESSION)"},
      {Problem::kLanguageModel, classes, "(LANGUAGE_MODEL)"},
      {Problem::kLanguageModel, numbers, "are floating-point [N]"},
      {Problem::kLanguageModel, tokens, ""},
  };
  for (const auto& test : cases) {
    const auto metrics = Metrics::Create(test.problem, test.data_set);
    EXPECT_EQ(metrics.ok(), test.says.empty()) << metrics.status();
    if (test.says.empty()) continue;
    EXPECT_EQ(GetErrorFacts(metrics.status()).reason, "DATA_SET_INVALID");
    EXPECT_THAT(std::string(metrics.status().message()), testing::HasSubstr(test.says));
  }
}

TEST(Metrics, TemperaturesAreChecked) {
  const auto classes = MemoryDataSet::OfClasses({0});
  for (const double bad : {0.0, -1.0, std::nan(""), HUGE_VAL}) {
    EXPECT_FALSE(Metrics::Create(Problem::kClassification, classes, bad).ok()) << bad;
  }
  EXPECT_FALSE(Metrics::Create(Problem::kRegression, classes, 2).ok());
}

}  // namespace
}  // namespace stockpot
