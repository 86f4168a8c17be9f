// Measures: problems, class subsets and classifiers. task_runner_test.cc has what all tasks have in
// common.
#include "tests/server/worker/session/measurer_test.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>
#include <vector>

namespace stockpot {
namespace {

using testing::ElementsAre;
using Code = absl::StatusCode;

// ---- Problems ----

TEST_F(MeasurerTest, ClassificationCountsByClass) {
  const auto measured = Run(MeasureTask({0})).result.measured();
  EXPECT_THAT(measured.label_counts(), ElementsAre(2, 2, 2));
  EXPECT_THAT(measured.predicted_counts(), ElementsAre(2, 2, 2));
  EXPECT_THAT(measured.correct_counts(), ElementsAre(2, 2, 2));
  // Every logit vector is (1, 0, 0): all confidences are e / (e + 2), and all are right.
  const double confidence = std::exp(1.0) / (std::exp(1.0) + 2);
  EXPECT_NEAR(measured.ece_equal_mass(), 1 - confidence, 1e-14);
  EXPECT_NEAR(measured.ece_equal_width(), 1 - confidence, 1e-14);
}

TEST_F(MeasurerTest, ComputesInThePrecisionThatIsAskedFor) {
  auto task = BlurredTask({0});
  const double exact = Run(task).result.measured().cross_entropy_sum();
  task.mutable_measure()->set_precision(v1::Compute::BFLOAT16);
  const double rounded = Run(task).result.measured().cross_entropy_sum();
  EXPECT_NE(rounded, exact);
  EXPECT_NEAR(rounded, exact, 0.05 * exact);
  task.mutable_measure()->set_precision(v1::Compute::TF32);
  EXPECT_EQ(ReasonOf(task, absl::StatusCode::kFailedPrecondition, "NVIDIA"),
            "PRECISION_UNSUPPORTED");
  task.mutable_measure()->set_precision(static_cast<v1::Compute::Precision>(77));
  ReasonOf(task, absl::StatusCode::kInvalidArgument, "unknown precision 77");
}

TEST_F(MeasurerTest, RegressionGivesOutputs) {
  auto task = MeasureTask({0}, "scalar.pt");
  task.mutable_measure()->set_problem(v1::EvaluationPlan::REGRESSION);
  task.mutable_measure()->set_batch_size(2);
  UseWeights(&task, "scalar.safetensors",
             {MakeTensor("weight", DType::kFloat32, {4}, std::vector<float>{1, 2, 0, 0})});
  const auto x = MakeTensor("x", DType::kFloat32, {3, 4},
                            std::vector<float>{1, 0, 0, 0, 0, 1, 0, 0, 1, 1, 0, 0});
  UseData(&task, "numbers.safetensors",
          {MakeTensor("labels", DType::kFloat32, {3}, std::vector<float>{1, 2.5f, 5}), x});
  const TaskOutcome outcome = Run(task);
  EXPECT_THAT(FloatsOf(outcome.examples), ElementsAre(1, 2, 3));
  const auto& measured = outcome.result.measured();
  EXPECT_EQ(measured.example_count(), 3);
  EXPECT_EQ(measured.squared_error_sum(), 0.25 + 4);
  // Deviations (-1, 0, 1) and (-11, -2, 13) / 6: 4 over sqrt(2 · 294/36).
  EXPECT_NEAR(measured.pearson(), 4 / std::sqrt(2 * 294 / 36.0), 1e-15);
  EXPECT_DOUBLE_EQ(measured.spearman(), 1);
}

TEST_F(MeasurerTest, LanguageModelsScoreTokensAndProgressCountsSequences) {
  auto task = MeasureTask({0}, "bigram.pt");
  task.mutable_measure()->set_problem(v1::EvaluationPlan::LANGUAGE_MODEL);
  task.mutable_measure()->set_batch_size(2);
  // After 0 comes 1, after 1 comes 2, after 2 anything.
  UseWeights(&task, "bigram.safetensors",
             {MakeTensor("embedding.weight", DType::kFloat32, {3, 3},
                         std::vector<float>{0, 4, 0, 0, 0, 4, 0, 0, 0})});
  UseData(
      &task, "tokens.safetensors",
      {MakeTensor("input_ids", DType::kInt64, {3, 2}, std::vector<int64_t>{0, 1, 1, 2, 0, 0}),
       MakeTensor("labels", DType::kInt64, {3, 2}, std::vector<int64_t>{1, 2, 2, -100, 0, -100})});
  std::vector<int64_t> done;
  const auto outcome = runner_->Run(task, [&](int64_t now, int64_t total) {
    EXPECT_EQ(total, 3);
    done.push_back(now);
    return absl::OkStatus();
  });
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  EXPECT_THAT(done, ElementsAre(0, 2, 3));
  const auto& measured = outcome->result.measured();
  EXPECT_EQ(measured.example_count(), 4);
  EXPECT_EQ(measured.top1_correct(), 3);
  const double right = std::log1p(2 * std::exp(-4.0));
  EXPECT_NEAR(measured.cross_entropy_sum(), 4 * right + 4, 1e-14);
  EXPECT_EQ(outcome->examples[0], '\x07');
  EXPECT_THAT(FloatsOf(outcome->examples.substr(1)), ElementsAre(4, 4, 4, -4));
}

TEST_F(MeasurerTest, ProblemsThatAreNotTheDataSetsAreRefused) {
  auto task = MeasureTask({0});
  task.mutable_measure()->set_problem(v1::EvaluationPlan::LANGUAGE_MODEL);
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "set the problem"), "DATA_SET_INVALID");
  task.mutable_measure()->set_problem(v1::EvaluationPlan::REGRESSION);
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "[4, 3]; expected outputs of a regression"),
            "MODEL_OUTPUT_MISMATCH");
  task.mutable_measure()->set_problem(static_cast<v1::EvaluationPlan::Problem>(77));
  EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument, "unknown problem 77"), "");
}

TEST_F(MeasurerTest, IntegerInputsAreBoundByName) {
  auto task = MeasureTask({0}, "two_inputs.pt");
  std::vector<float> weight(24, 0.0f);
  for (size_t c = 0; c < 3; ++c) weight[c * 3 + c] = 1.0f;  // token c speaks for class c
  UseWeights(&task, "tokens.safetensors",
             {MakeTensor("embedding.weight", DType::kFloat32, {8, 3}, weight)});
  UseData(&task, "masked.safetensors",
          {MakeTensor("ids", DType::kInt64, {2, 2}, std::vector<int64_t>{0, 1, 0, 1}),
           MakeTensor("labels", DType::kInt64, {2}, std::vector<int64_t>{0, 1}),
           MakeTensor("mask", DType::kInt32, {2, 2}, std::vector<int32_t>{3, 0, 0, 1})});
  for (const auto& [input, argument] :
       {std::pair("mask", "attention_mask"), {"ids", "input_ids"}}) {
    v1::InputBinding* binding = task.mutable_measure()->add_inputs();
    binding->set_data_set_input(input);
    binding->set_argument(argument);
  }
  const TaskOutcome outcome = Run(task);
  EXPECT_EQ(outcome.result.measured().top1_correct(), 2);
  EXPECT_THAT(FloatsOf(outcome.examples.substr(1)), ElementsAre(3, 1));
}

// ---- Class subsets and classifiers ----

TEST_F(MeasurerTest, ClassSubsetsSayWhichLogitsAreTheLabels) {
  const struct {
    std::vector<int32_t> subset;
    int correct;  // -1: refused
    std::string reason;
  } cases[] = {
      {{0, 1, 2}, 6, ""},
      {{1, 2, 0}, 0, ""},
      {{1, 0, 2}, 2, ""},
      {{0, 1}, -1, "LABEL_OUT_OF_RANGE"},
      {{0, 1, 3}, -1, "MODEL_OUTPUT_MISMATCH"},
      {{0, 1, 1}, -1, "DATA_SET_INVALID"},
      {{0, -1, 1}, -1, "DATA_SET_INVALID"},
  };
  auto task = MeasureTask({0});
  for (const auto& test : cases) {
    auto* subset = task.mutable_measure()->mutable_data_set()->mutable_class_subset();
    *subset = {test.subset.begin(), test.subset.end()};
    if (test.correct >= 0) {
      EXPECT_EQ(Run(task).result.measured().top1_correct(), test.correct);
    } else {
      EXPECT_EQ(ReasonOf(task, Code::kInvalidArgument), test.reason);
    }
  }
}

class ClassifierTest : public MeasurerTest {
 protected:
  // Class c is feature (c + 1) % 3.
  ClassifierTest() { WriteHead("head.safetensors", {0, 1, 0, 0, 0, 1, 1, 0, 0}); }

  void WriteHead(const std::string& name, const std::vector<float>& weight) {
    std::filesystem::remove(sweep_ / name);
    WriteSafetensors(sweep_ / name,
                     {MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>{0, 0, 0}),
                      MakeTensor("count", DType::kInt64, {1, 1}, std::vector<int64_t>{7}),
                      MakeTensor("two", DType::kFloat32, {2}, std::vector<float>{0, 0}),
                      MakeTensor("weight", DType::kFloat32, {3, 3}, weight)});
  }

  worker::v1::Task InspectTask(const std::string& weight, const std::string& bias) {
    worker::v1::Task task;
    task.mutable_inspect_classifier()->set_uri(sweep_ / "head.safetensors");
    task.mutable_inspect_classifier()->set_weight_tensor(weight);
    task.mutable_inspect_classifier()->set_bias_tensor(bias);
    return task;
  }

  worker::v1::Task MeasureWithHead() {
    auto task = MeasureTask({0});
    v1::Classifier* head = task.mutable_measure()->mutable_data_set()->mutable_classifier();
    head->set_uri(sweep_ / "head.safetensors");
    task.mutable_measure()->set_classifier_digest(
        Run(InspectTask("", "")).result.classifier().digest());
    return task;
  }
};

TEST_F(ClassifierTest, InspectionsSayWhatItHolds) {
  const auto found = Run(InspectTask("weight", "bias")).result.classifier();
  EXPECT_EQ(found.class_count(), 3);
  EXPECT_EQ(found.feature_count(), 3);
  WriteSafetensors(sweep_ / "alone.safetensors",
                   {MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>{0, 0, 0}),
                    MakeTensor("weight", DType::kFloat32, {3, 3},
                               std::vector<float>{0, 1, 0, 0, 0, 1, 1, 0, 0})});
  EXPECT_EQ(found.digest(),
            Run(InspectCheckpointTaskOf(sweep_ / "alone.safetensors")).result.checkpoint().digest())
      << "of both tensors and no others";
  EXPECT_NE(Run(InspectTask("", "")).result.classifier().digest(), found.digest());
}

TEST_F(ClassifierTest, MakesLogitsOfFeatures) {
  auto task = MeasureWithHead();
  EXPECT_EQ(Run(task).result.measured().top1_correct(), 0);
  task.mutable_measure()->mutable_data_set()->mutable_class_subset()->Add(2);
  task.mutable_measure()->mutable_data_set()->mutable_class_subset()->Add(0);
  task.mutable_measure()->mutable_data_set()->mutable_class_subset()->Add(1);
  EXPECT_EQ(Run(task).result.measured().top1_correct(), 6) << "of the classifier's logits";
  auto* head = task.mutable_measure()->mutable_data_set()->mutable_classifier();
  head->set_scale(8);
  head->set_normalize_features(true);
  EXPECT_THAT(FloatsOf(Run(task).examples.substr(1)), ElementsAre(8, 8, 8, 8, 8, 8));
}

TEST_F(ClassifierTest, OneThatChangedIsNoticed) {
  const auto task = MeasureWithHead();
  WriteHead("head.safetensors", {1, 0, 0, 0, 1, 0, 0, 0, 1});
  EXPECT_EQ(ReasonOf(task, Code::kFailedPrecondition, "classifier"), "CHECKPOINT_CHANGED");
}

TEST_F(ClassifierTest, OneThatIsNoneIsRefused) {
  const struct {
    std::string weight, bias, says;
  } cases[] = {
      {"head", "", "'head': is not there"},
      {"bias", "", "'bias': is F32 [3]: a classifier's is floating-point [classes, features]"},
      {"count", "", "'count': is I64 [1, 1]"},
      {"", "none", "'none': is not there"},
      {"", "weight", "'weight': is F32 [3, 3]: a classifier's is floating-point [classes]"},
      {"", "two", "'two': has 2 classes, the weight 3"},
  };
  for (const auto& bad : cases) {
    EXPECT_EQ(ReasonOf(InspectTask(bad.weight, bad.bias), Code::kInvalidArgument, bad.says),
              "DATA_SET_INVALID");
  }
  WriteHead("head.safetensors", {0, 1, 0, 0, 0, 1, 1, 0, std::nanf("")});
  EXPECT_EQ(ReasonOf(InspectTask("", ""), Code::kInvalidArgument, "'weight': holds NaN"),
            "DATA_SET_INVALID");
  auto elsewhere = InspectTask("", "");
  elsewhere.mutable_inspect_classifier()->set_uri("/etc/passwd");
  EXPECT_EQ(ReasonOf(elsewhere, Code::kPermissionDenied), "PATH_NOT_ALLOWED");
  elsewhere.mutable_inspect_classifier()->set_uri(sweep_ / "none");
  EXPECT_EQ(ReasonOf(elsewhere, Code::kNotFound), "CHECKPOINT_NOT_FOUND");
}

}  // namespace
}  // namespace stockpot
