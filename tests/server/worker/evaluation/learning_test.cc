// The learned soup, against a plain program on models whose gradient can be written down.
#include "server/worker/evaluation/learning.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "tests/server/worker/evaluation/linear_models.h"
#include "tests/server/worker/evaluation/plain_learning.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using Constraint = CoefficientLearner::Constraint;

void ExpectSame(const LearnedEpoch& learned, const PlainProgram& plain, bool per_tensor,
                double tolerance) {
  const size_t columns = per_tensor ? 2 : 1;
  ASSERT_EQ(learned.coefficients.size(), kIngredients * columns);
  for (size_t i = 0; i < kIngredients; ++i) {
    for (size_t t = 0; t < columns; ++t) {
      EXPECT_NEAR(learned.coefficients[i * columns + t], plain.Alpha(t)[i], tolerance);
    }
  }
  EXPECT_NEAR(learned.temperature, 1 / plain.beta, tolerance);
}

std::vector<LearningOptions> AllKinds() {
  std::vector<LearningOptions> all;
  for (const auto constraint : {Constraint::kSoftmax, Constraint::kFree, Constraint::kSumToOne}) {
    for (const bool per_tensor : {false, true}) {
      LearningOptions options;
      options.constraint = constraint;
      options.per_tensor = per_tensor;
      options.weight_decay = per_tensor ? 0.01 : 0;
      options.seed = 5;
      all.push_back(options);
    }
  }
  return all;
}

TEST(LearnEpoch, OneStepIsTheStepOfHand) {
  const auto runner = Load("linear.pt");
  for (LearningOptions options : AllKinds()) {
    options.batch_size = kExamples;
    PlainProgram plain(options);
    const double loss = plain.Epoch(0);
    const LearnedEpoch learned = Learn(runner.get(), LinearModels(), Data(), options);
    ExpectSame(learned, plain, options.per_tensor, 1e-12);
    EXPECT_NEAR(learned.mean_loss, loss, 1e-6);
  }
}

TEST(LearnEpoch, EpochsOfSeveralStepsFollowThePlainProgram) {
  const auto runner = Load("linear.pt");
  for (LearningOptions options : AllKinds()) {
    options.batch_size = 4;  // 4, 4 and 2 examples
    PlainProgram plain(options);
    for (options.epoch = 0; options.epoch < 3; ++options.epoch) {
      const double loss = plain.Epoch(static_cast<uint64_t>(options.epoch));
      const LearnedEpoch learned = Learn(runner.get(), LinearModels(), Data(), options);
      ExpectSame(learned, plain, options.per_tensor, 1e-5);
      EXPECT_NEAR(learned.mean_loss, loss, 1e-5);
      options.state = learned.state;
    }
    EXPECT_GT(std::abs(plain.Alpha(0)[0] - 1.0 / 3), 0.01) << "it moved";
  }
}

TEST(LearnEpoch, AFixedTemperatureStaysOne) {
  const auto runner = Load("linear.pt");
  LearningOptions options;
  options.batch_size = 4;
  options.fixed_temperature = true;
  PlainProgram plain(options);
  plain.Epoch(0);
  const LearnedEpoch learned = Learn(runner.get(), LinearModels(), Data(), options);
  EXPECT_EQ(learned.temperature, 1.0);
  ExpectSame(learned, plain, false, 1e-5);
}

TEST(LearnEpoch, RegressionFollowsTheSquaredError) {
  const auto runner = Load("scalar.pt");
  Labels labels;
  labels.kind = LabelKind::kNumbers;
  labels.example_count = 2;
  labels.numbers = {1, -2};
  const MemoryDataSet data(
      {MakeTensor("x", DType::kFloat32, {2, 4}, std::vector<float>{1, 0, 0, 0, 0, 2, 0, 0})},
      labels);
  LearningOptions options;
  options.constraint = Constraint::kFree;
  options.outputs.problem = Problem::kRegression;
  const Ingredients two = {MakeStateDict({Tensor("weight", {4}, {1, 1, 0, 0})}),
                           MakeStateDict({Tensor("weight", {4}, {0, -1, 0, 0})})};
  const LearnedEpoch learned = Learn(runner.get(), two, data, options);
  // Weights (0.5, 0), outputs 0.5 and 0: errors -0.5 and 2, slope of the weights (-0.5, 4).
  EXPECT_NEAR(learned.mean_loss, (0.25 + 4) / 2, 1e-12);
  EXPECT_NEAR(learned.coefficients[0], 0.5 - 0.05, 1e-9) << "slope 3.5";
  EXPECT_NEAR(learned.coefficients[1], 0.5 + 0.05, 1e-9) << "slope -4";
  EXPECT_EQ(learned.temperature, 1.0);
}

TEST(LearnEpoch, LanguageModelsCountTokens) {
  const auto runner = Load("bigram.pt");
  const auto data = [](std::vector<int64_t> tokens) {
    Labels labels;
    labels.kind = LabelKind::kTokens;
    labels.example_count = 2;
    labels.length = 2;
    labels.integers = std::move(tokens);
    return MemoryDataSet(
        {MakeTensor("input_ids", DType::kInt64, {2, 2}, std::vector<int64_t>{0, 1, 2, 0})}, labels);
  };
  const Ingredients two = {
      MakeStateDict({Tensor("embedding.weight", {3, 3}, {2, 0, 0, 0, 0, 0, 0, 0, 0})}),
      MakeStateDict({Tensor("embedding.weight", {3, 3}, {0, 2, 0, 0, 0, 0, 0, 0, 0})})};
  LearningOptions options;
  options.outputs.problem = Problem::kLanguageModel;
  options.batch_size = 2;
  // Tokens 0 and 1 count: logits (1, 1, 0) for label 0, (0, 0, 0) for label 2.
  const LearnedEpoch learned =
      Learn(runner.get(), two, data({0, 2, kIgnoredToken, kIgnoredToken}), options);
  const double first = -1 + std::log(2 * std::exp(1) + 1);
  EXPECT_NEAR(learned.mean_loss, (first + std::log(3)) / 2, 1e-6);
  EXPECT_GT(learned.coefficients[0], 0.5);
  EXPECT_NEAR(learned.coefficients[0] + learned.coefficients[1], 1, 1e-15);

  options.batch_size = 1;
  const LearnedEpoch one_step =
      Learn(runner.get(), two, data({0, 2, kIgnoredToken, kIgnoredToken}), options);
  EXPECT_EQ(one_step.state, learned.state) << "no step where no token counts";
}

TEST(LearnEpoch, ClassesAndHeadsAreThoseOfTheDataSet) {
  const auto runner = Load("linear.pt");
  LearningOptions options;
  options.batch_size = kExamples;
  options.outputs.class_subset = {2, 0};
  const auto refused = runner->LearnEpoch(LinearModels(), Data(), options);
  EXPECT_EQ(GetErrorFacts(refused.status()).reason, "LABEL_OUT_OF_RANGE") << refused.status();

  // A head that turns the classes round, and a data set whose labels are turned as well.
  std::vector<float> head(kClasses * kClasses);
  for (size_t c = 0; c < kClasses; ++c) head[(c + 1) % kClasses * kClasses + c] = 1;
  options.outputs.class_subset.clear();
  LinearClassifier classifier;
  classifier.tensors = MakeStateDict({Tensor("weight", {3, 3}, head)});
  options.outputs.classifier = classifier;
  PlainProgram plain(options);
  plain.Epoch(0);
  ExpectSame(Learn(runner.get(), LinearModels(), Data(1), options), plain, false, 1e-12);
}

TEST(LearnEpoch, FixedTensorsBuffersAndWhatIsMissingHaveNoPart) {
  const auto runner = Load("batch_norm.pt");
  const auto model = [](float shift) {
    return MakeStateDict({Tensor("head.bias", {3}, {shift, 0, -shift}),
                          Tensor("head.weight", {3, 4}, std::vector<float>(12, shift)),
                          Tensor("norm.bias", {4}, {shift, shift, 0, 0}),
                          Tensor("norm.running_mean", {4}, {0, shift, 0, shift}),
                          Tensor("norm.weight", {4}, {1, shift, 1, 1})});
  };
  const TensorSelection selection{{"norm.weight"}, {"head.weight"}, model(2)};
  Ingredients selected;
  for (const float shift : {0.5f, -1.0f})
    selected.push_back(SelectTensors(model(shift), selection));
  LearningOptions options;
  options.batch_size = 4;
  options.per_tensor = true;
  options.constraint = Constraint::kFree;
  options.weight_decay = 0.5;
  ASSERT_TRUE(runner->AllowMissing({"norm.weight"}));
  const LearnedEpoch learned = Learn(runner.get(), selected, Data(), options);
  ASSERT_EQ(learned.coefficients.size(), 2 * 4u);
  for (const size_t still : {1, 3}) {  // head.weight is fixed, norm.running_mean a buffer
    EXPECT_EQ(learned.coefficients[still], 0.5);
    EXPECT_EQ(learned.coefficients[4 + still], 0.5);
  }
  EXPECT_NE(learned.coefficients[0], 0.5);
  EXPECT_NE(learned.coefficients[2], 0.5);
}

TEST(LearnEpoch, LeavesTheModelAsItWas) {
  const auto runner = Load("dropout.pt");
  const Ingredients models = LinearModels();
  const MemoryDataSet data = Data();
  const auto measure = [&] {
    EXPECT_TRUE(runner->SetWeights(models, {}, std::nullopt).ok());
    MeasureOptions options;
    options.batch_size = 4;
    return runner->Measure(data, options)->margins;
  };
  const std::vector<float> before = measure();
  Learn(runner.get(), models, data, LearningOptions());
  EXPECT_EQ(measure(), before);
}

TEST(LearnEpoch, WhatCannotBeLearnedSaysSo) {
  const auto runner = Load("linear.pt");
  const auto reason = [&](const LearningOptions& options, const Ingredients& ingredients) {
    const auto learned = runner->LearnEpoch(ingredients, Data(2), options);
    EXPECT_FALSE(learned.ok());
    return absl::StatusCodeToString(learned.status().code()) + " " +
           std::string(learned.status().message());
  };
  LearningOptions options;
  options.epoch = 1;
  EXPECT_THAT(reason(options, LinearModels()), HasSubstr("INVALID_ARGUMENT the state"));
  options.state = Learn(runner.get(), LinearModels(), Data(2), LearningOptions()).state;
  options.epoch = 2;
  EXPECT_THAT(reason(options, LinearModels()), HasSubstr("epoch 2 cannot follow"));
  LearningOptions fast;
  fast.learning_rate = 100;
  EXPECT_THAT(reason(fast, LinearModels()), HasSubstr("inverse temperature became -"));
  const auto all_fixed = SelectTensors(Linear(0), {{}, {"*"}, Linear(1)});
  EXPECT_THAT(reason(LearningOptions(), {all_fixed}), HasSubstr("no parameter"));
}

TEST(LearnEpoch, ProgressCanEndItAfterAnyStep) {
  const auto runner = Load("linear.pt");
  std::vector<int64_t> seen;
  LearningOptions options;
  options.batch_size = 4;
  options.progress = [&](int64_t done) {
    seen.push_back(done);
    return done < 8 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  const auto cancelled = runner->LearnEpoch(LinearModels(), Data(), options);
  EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(seen, testing::ElementsAre(4, 8));
}

}  // namespace
}  // namespace stockpot
