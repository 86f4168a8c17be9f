// Metrics and statistics against numbers worked out by hand or by the plain definition.
#include "server/base/statistics.h"

#include <gtest/gtest.h>

#include <cmath>

#include "server/base/class_scores.h"
#include "server/recipe/paired_gain.h"

namespace stockpot {
namespace {

// Two classes: 5 true positives, 2 false positives, 3 false negatives, 10 true negatives.
TEST(ScoreClasses, AgreesWithTheBinaryFormulas) {
  const ClassScores scores = ScoreClasses({12, 8}, {13, 7}, {10, 5});
  EXPECT_DOUBLE_EQ(scores.f1_binary, 10.0 / 15);
  EXPECT_DOUBLE_EQ(scores.f1_macro, (20.0 / 25 + 10.0 / 15) / 2);
  EXPECT_DOUBLE_EQ(scores.mean_per_class, (10.0 / 12 + 5.0 / 8) / 2);
  EXPECT_NEAR(scores.matthews, (5 * 10 - 2 * 3) / std::sqrt(7.0 * 8 * 12 * 13), 1e-15);
}

TEST(ScoreClasses, LeavesOutClassesThatAreNotThere) {
  const ClassScores scores = ScoreClasses({2, 0, 0}, {1, 1, 0}, {1, 0, 0});
  EXPECT_DOUBLE_EQ(scores.mean_per_class, 0.5);
  EXPECT_DOUBLE_EQ(scores.f1_macro, (2.0 / 3 + 0) / 2);
  EXPECT_EQ(scores.f1_binary, 0) << "there are three classes";
  EXPECT_EQ(scores.matthews, 0) << "the labels are all of one class";
}

TEST(Correlations, AreThoseOfSmallCases) {
  EXPECT_NEAR(PearsonCorrelation({1, 2, 3, 4}, {2, 4, 6, 8}), 1, 1e-15);
  EXPECT_NEAR(PearsonCorrelation({1, 2, 3}, {1, 3, 2}), 0.5, 1e-15);
  EXPECT_EQ(PearsonCorrelation({0.1, 0.1, 0.1}, {1, 2, 3}), 0);
  EXPECT_NEAR(SpearmanCorrelation({1, 10, 100}, {3, 4, 50}), 1, 1e-15);
  EXPECT_EQ(Ranks({5, 1, 5, 7}), (std::vector<double>{2.5, 1, 2.5, 4}));
  EXPECT_DOUBLE_EQ(StandardDeviation({2, 4, 4, 6}), std::sqrt(8.0 / 3));
  EXPECT_EQ(StandardDeviation({3}), 0);
}

TEST(CompareExamples, CountsWhatOneAloneHasRight) {
  // Ten examples; the bits above the tenth are not looked at.
  const auto counts = CompareExamples("\x0f\xff", absl::string_view("\x3c\x00", 2), 10);
  ASSERT_TRUE(counts.ok());
  EXPECT_EQ(counts->only_first, 2 + 2);
  EXPECT_EQ(counts->only_second, 2);
  EXPECT_FALSE(CompareExamples("\x0f", "\x3c", 10).ok());
}

TEST(McNemarExact, IsTheTwoSidedBinomialTest) {
  EXPECT_EQ(McNemarExact({100, 0, 0}), 1);
  EXPECT_EQ(McNemarExact({100, 4, 4}), 1);
  EXPECT_NEAR(McNemarExact({100, 5, 0}), 2.0 / 32, 1e-12);
  EXPECT_NEAR(McNemarExact({100, 1, 5}), 2 * (1 + 6) / 64.0, 1e-12);
}

// For many examples the interval is the normal one: mean ± 1.96 standard errors.
TEST(BootstrapInterval, IsTheNormalIntervalOfManyExamples) {
  const PairedCounts counts{10000, 900, 700};
  const double mean = 0.02;
  const double error = std::sqrt((0.16 - mean * mean) / 10000);
  const auto [lower, upper] = BootstrapInterval(counts, {0.95, 20000, 1});
  EXPECT_NEAR(lower, mean - 1.96 * error, 0.1 * error);
  EXPECT_NEAR(upper, mean + 1.96 * error, 0.1 * error);
  EXPECT_EQ(BootstrapInterval(counts, {0.95, 20000, 1}), std::make_pair(lower, upper));
  EXPECT_EQ(BootstrapInterval({100, 0, 0}, {}), std::make_pair(0.0, 0.0));
}

}  // namespace
}  // namespace stockpot
