#include "server/worker/soup/coefficient_learner.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>

#include "server/base/digest.h"

namespace stockpot {
namespace {

using testing::DoubleNear;
using testing::Pointwise;
using Constraint = CoefficientLearner::Constraint;

CoefficientLearner::Options OptionsOf(Constraint constraint, size_t ingredients = 3,
                                      std::vector<bool> learnable = {true}) {
  CoefficientLearner::Options options;
  options.constraint = constraint;
  options.ingredients = ingredients;
  options.learnable = std::move(learnable);
  return options;
}

CoefficientLearner Start(const CoefficientLearner::Options& options) {
  auto learner = CoefficientLearner::Start(options);
  EXPECT_TRUE(learner.ok()) << learner.status();
  return *std::move(learner);
}

// AdamW as it is written in the paper, on one parameter that has had these gradients.
double AdamW(double parameter, const std::vector<double>& gradients, double rate, double decay) {
  double first = 0, second = 0;
  for (size_t t = 1; t <= gradients.size(); ++t) {
    const double g = gradients[t - 1];
    parameter -= rate * decay * parameter;
    first = 0.9 * first + 0.1 * g;
    second = 0.999 * second + 0.001 * g * g;
    const double first_hat = first / (1 - std::pow(0.9, t));
    const double second_hat = second / (1 - std::pow(0.999, t));
    parameter -= rate * first_hat / (std::sqrt(second_hat) + 1e-8);
  }
  return parameter;
}

constexpr Constraint kAll[] = {Constraint::kSoftmax, Constraint::kFree, Constraint::kSumToOne};

TEST(CoefficientLearner, StartsUniform) {
  for (const Constraint constraint : kAll) {
    const CoefficientLearner learner = Start(OptionsOf(constraint, 4, {true, false}));
    EXPECT_THAT(learner.Coefficients(), Pointwise(DoubleNear(1e-15), std::vector<double>(8, 0.25)));
    EXPECT_EQ(learner.inverse_temperature(), 1.0);
    EXPECT_EQ(learner.epochs(), 0);
  }
}

TEST(CoefficientLearner, FreeStepsAreAdamW) {
  auto options = OptionsOf(Constraint::kFree);
  options.weight_decay = 0.3;
  CoefficientLearner learner = Start(options);
  learner.Step({0.5, -2, 0}, 0.125);
  learner.Step({-0.25, 1, 0}, 3);
  const double third = 1.0 / 3;
  EXPECT_THAT(
      learner.Coefficients(),
      Pointwise(DoubleNear(1e-14), std::vector<double>{AdamW(third, {0.5, -0.25}, 0.05, 0.3),
                                                       AdamW(third, {-2, 1}, 0.05, 0.3),
                                                       AdamW(third, {0, 0}, 0.05, 0.3)}));
  EXPECT_NEAR(learner.inverse_temperature(), AdamW(1, {0.125, 3}, 0.05, 0), 1e-14)
      << "no decay pulls it";
}

TEST(CoefficientLearner, SumToOneStepsAreAdamWOfTheDeviationFromTheMean) {
  CoefficientLearner learner = Start(OptionsOf(Constraint::kSumToOne));
  learner.Step({0.5, -2, 0}, 0);  // mean -0.5
  const double a[] = {AdamW(0, {1}, 0.05, 0), AdamW(0, {-1.5}, 0.05, 0), AdamW(0, {0.5}, 0.05, 0)};
  const double shift = 1.0 / 3 - (a[0] + a[1] + a[2]) / 3;
  EXPECT_THAT(
      learner.Coefficients(),
      Pointwise(DoubleNear(1e-14), std::vector<double>{a[0] + shift, a[1] + shift, a[2] + shift}));
}

TEST(CoefficientLearner, SoftmaxStepsAreAdamWOfTheChainRule) {
  CoefficientLearner learner = Start(OptionsOf(Constraint::kSoftmax, 2));
  learner.Step({3, 1}, 0);  // dL/da = ±(1/2)(3 - 2)
  const double a = AdamW(0, {0.5}, 0.05, 0), b = AdamW(0, {-0.5}, 0.05, 0);
  const double first = std::exp(a) / (std::exp(a) + std::exp(b));
  EXPECT_THAT(learner.Coefficients(),
              Pointwise(DoubleNear(1e-14), std::vector<double>{first, 1 - first}));
}

TEST(CoefficientLearner, SumsStayOneUnlessFree) {
  for (const Constraint constraint : {Constraint::kSoftmax, Constraint::kSumToOne}) {
    CoefficientLearner learner = Start(OptionsOf(constraint, 3, {true, true}));
    for (int step = 0; step < 200; ++step) {
      learner.Step({1.0 * step, 2, -3, 0.5, 40, -0.25 * step}, 1);
    }
    const std::vector<double> found = learner.Coefficients();
    for (size_t t = 0; t < 2; ++t) EXPECT_NEAR(found[t] + found[2 + t] + found[4 + t], 1, 1e-12);
    EXPECT_GT(std::abs(found[0] - 1.0 / 3), 0.1);
  }
}

TEST(CoefficientLearner, ColumnsThatNothingDependsOnStayAsTheyBegan) {
  auto options = OptionsOf(Constraint::kFree, 2, {true, false});
  options.weight_decay = 0.5;
  CoefficientLearner learner = Start(options);
  learner.Step({1, 7, 1, 7}, 0);
  EXPECT_NE(learner.Coefficients()[0], 0.5);
  EXPECT_EQ(learner.Coefficients()[1], 0.5);
  EXPECT_EQ(learner.Coefficients()[3], 0.5);
}

TEST(CoefficientLearner, AFixedTemperatureStays) {
  auto options = OptionsOf(Constraint::kFree);
  options.fixed_temperature = true;
  CoefficientLearner learner = Start(options);
  learner.Step({1, 2, 3}, 5);
  EXPECT_EQ(learner.inverse_temperature(), 1.0);
}

TEST(CoefficientLearner, ResumesWhereItLeftOff) {
  for (const Constraint constraint : kAll) {
    const auto options = OptionsOf(constraint);
    CoefficientLearner whole = Start(options), part = Start(options);
    for (int step = 0; step < 6; ++step) {
      const std::vector<double> gradient = {0.1 * step, -1, 0.3};
      whole.Step(gradient, 0.2);
      part.Step(gradient, 0.2);
      auto resumed = CoefficientLearner::Resume(options, part.State());
      ASSERT_TRUE(resumed.ok()) << resumed.status();
      EXPECT_EQ(resumed->State(), whole.State());
      EXPECT_EQ(resumed->Coefficients(), whole.Coefficients());
    }
  }
}

TEST(CoefficientLearner, StatesOfAnotherKindAreRefused) {
  const auto options = OptionsOf(Constraint::kSoftmax);
  CoefficientLearner learner = Start(options);
  learner.Step({1, 2, 3}, 1);
  const std::string state = learner.State();
  EXPECT_LE(state.size(), 3 * 8 * 4 + 200u) << "three numbers each, and a little";
  auto fixed = options;
  fixed.fixed_temperature = true;
  for (const auto& other : {OptionsOf(Constraint::kFree), OptionsOf(Constraint::kSoftmax, 4), fixed,
                            OptionsOf(Constraint::kSoftmax, 3, {true, true})}) {
    EXPECT_EQ(CoefficientLearner::Resume(other, state).status().code(),
              absl::StatusCode::kInvalidArgument);
  }
  for (size_t size : {size_t{0}, size_t{8}, state.size() - 1}) {
    EXPECT_FALSE(CoefficientLearner::Resume(options, state.substr(0, size)).ok());
  }
  for (size_t i = 0; i < state.size(); ++i) {
    std::string damaged = state;
    damaged[i] = static_cast<char>(damaged[i] ^ 1);
    EXPECT_FALSE(CoefficientLearner::Resume(options, damaged).ok()) << "byte " << i;
  }
  std::string infinite = state.substr(0, state.size() - 64);
  infinite.replace(infinite.size() - 8, 8, std::string("\0\0\0\0\0\0\xf0\x7f", 8));
  infinite += Sha256Hex(infinite);
  EXPECT_FALSE(CoefficientLearner::Resume(options, infinite).ok());
}

TEST(CoefficientLearner, LimitsAndRates) {
  EXPECT_TRUE(
      CoefficientLearner::Start(OptionsOf(Constraint::kFree, 100, std::vector<bool>(1000, true)))
          .ok());
  const auto rates = [](double rate, double decay) {
    auto options = OptionsOf(Constraint::kFree);
    options.learning_rate = rate;
    options.weight_decay = decay;
    return options;
  };
  for (const auto& bad :
       {OptionsOf(Constraint::kFree, 100, std::vector<bool>(1001, true)),
        OptionsOf(Constraint::kFree, 100'001), OptionsOf(Constraint::kFree, 0),
        OptionsOf(Constraint::kFree, 3, {}), rates(0, 0), rates(-1, 0), rates(1, -1),
        rates(std::nan(""), 0), rates(INFINITY, 0), rates(1, std::nan(""))}) {
    EXPECT_EQ(CoefficientLearner::Start(bad).status().code(), absl::StatusCode::kInvalidArgument);
  }
}

}  // namespace
}  // namespace stockpot
