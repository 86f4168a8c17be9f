#include "server/worker/evaluation/gap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace stockpot {
namespace {

TEST(Gap, TermsAreAsByHand) {
  const std::vector<float> soup = {std::log(3.0f), 0}, first = {1, 0}, second = {3, 1};
  const std::vector<int64_t> labels = {0};
  GapTerms terms = MeasureGapTerms({soup, 2, labels}, first, second, 0.25, 1);
  EXPECT_NEAR(terms.soup_loss, std::log(4 / 3.0), 1e-7);
  EXPECT_DOUBLE_EQ(terms.ensemble_loss, std::log1p(std::exp(-(1.5 - 0.25))));
  // Probabilities 3/4 and 1/4 of differences 2 and 1.
  EXPECT_NEAR(terms.variance, 3 / 16.0, 1e-7);
  terms.soup_loss = 1;
  FinishGap(1.5, 2, 0.25, 0.5, &terms);
  EXPECT_DOUBLE_EQ(terms.second_derivative, (1.5 + 2 - 2 * 1) / 0.25);
  EXPECT_DOUBLE_EQ(terms.approximation, 0.25 * 0.75 / 2 * (terms.variance - 6));
}

TEST(Gap, InverseTemperatureScalesLossesAndVariance) {
  const std::vector<float> soup = {0, 0, 1, 0}, first = {0, 0, 0, 0}, second = {4, 0, 0, 0};
  const std::vector<int64_t> labels = {0, 1};
  GapTerms terms = MeasureGapTerms({soup, 2, labels}, first, second, 0.5, 2);
  EXPECT_DOUBLE_EQ(terms.soup_loss, (std::log(2.0) + std::log1p(std::exp(2.0))) / 2);
  EXPECT_DOUBLE_EQ(terms.ensemble_loss, (std::log1p(std::exp(-4.0)) + std::log(2.0)) / 2);
  EXPECT_DOUBLE_EQ(terms.variance, (4 + 0) / 2.0) << "1/4 · 16 of the first example";
  FinishGap(terms.soup_loss, terms.soup_loss, 0.5, 0.1, &terms);
  EXPECT_DOUBLE_EQ(terms.approximation, 0.125 * 4 * 2);
}

// Logits that are linear in the weights: soup and ensemble are the same, and equation 2 gives 0.
TEST(Gap, OfALinearModelIsZero) {
  constexpr size_t kExamples = 20, kClasses = 5;
  constexpr double kCoefficient = 0.3, kStep = 1.0 / 64, kScale = 1.25;
  std::vector<float> first, second;
  std::vector<int64_t> labels;
  for (size_t i = 0; i < kExamples * kClasses; ++i) {
    // Few digits, so that their blends are float32 to within 1e-8.
    first.push_back(std::round(std::sin(static_cast<float>(i)) * 64) / 32);
    second.push_back(std::round(std::cos(static_cast<float>(3 * i)) * 64) / 32);
    if (i % kClasses == 0) labels.push_back(static_cast<int64_t>(i / kClasses % kClasses));
  }
  const auto soup = [&](double coefficient) {
    std::vector<float> logits;
    for (size_t i = 0; i < first.size(); ++i) {
      logits.push_back(static_cast<float>((1 - coefficient) * first[i] + coefficient * second[i]));
    }
    return logits;
  };
  const auto loss = [&](double coefficient) {
    const std::vector<float> logits = soup(coefficient);
    return MeanCrossEntropy({logits, kClasses, labels}, kScale);
  };
  const std::vector<float> middle = soup(kCoefficient);
  GapTerms terms = MeasureGapTerms({middle, kClasses, labels}, first, second, kCoefficient, kScale);
  FinishGap(loss(kCoefficient - kStep), loss(kCoefficient + kStep), kCoefficient, kStep, &terms);
  EXPECT_NEAR(terms.soup_loss, terms.ensemble_loss, 1e-7);
  EXPECT_GT(terms.variance, 0.1);
  EXPECT_NEAR(terms.second_derivative, kScale * kScale * terms.variance, 2e-3 * terms.variance);
  EXPECT_NEAR(terms.approximation, 0, 1e-3 * terms.variance);
}

TEST(Gap, ClassesThatCannotBeDoNotCount) {
  const float infinity = HUGE_VALF;
  const std::vector<float> soup = {0, 0, -infinity}, first = {0, 1, -infinity},
                           second = {2, 1, -infinity};
  const std::vector<int64_t> labels = {0};
  const GapTerms terms = MeasureGapTerms({soup, 3, labels}, first, second, 0.5, 1);
  EXPECT_DOUBLE_EQ(terms.variance, 1) << "differences 2 and 0, each of probability 1/2";
  EXPECT_DOUBLE_EQ(terms.ensemble_loss, std::log(2.0));
}

}  // namespace
}  // namespace stockpot
