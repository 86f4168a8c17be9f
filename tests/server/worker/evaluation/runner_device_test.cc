// A runner on each device that there is, and in each precision that it has: the CPU alone where
// there is no card.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/linear_models.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// Whole numbers, which every device adds to the same sum.
std::shared_ptr<const StateDict> WholeModel(int seed) {
  std::vector<float> weight, bias;
  for (int i = 0; i < 12; ++i) weight.push_back(static_cast<float>((i * 5 + seed * 3) % 7 - 3));
  for (int i = 0; i < 3; ++i) bias.push_back(static_cast<float>((i + seed) % 3));
  return MakeStateDict({Tensor("bias", {3}, bias), Tensor("weight", {3, 4}, weight)});
}

MemoryDataSet WholeData(int64_t count) {
  std::vector<float> x;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t j = 0; j < 4; ++j) x.push_back(static_cast<float>((i * 3 + j * 7) % 11 - 5));
    labels.push_back(i * i % 3);
  }
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, {count, 4}, x)}, labels);
}

// LibTorch remembers that there is no CUDA when it is first used without: a process that wants both
// begins with the card.
const auto* const kCardFirst = testing::AddGlobalTestEnvironment([] {
  struct CardFirst final : testing::Environment {
    void SetUp() override { ProbeDevice("auto").IgnoreError(); }
  };
  return new CardFirst;
}());

class RunnerDeviceTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const auto device = ProbeDevice(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    runner_ = Load("linear.pt", GetParam());
  }

  static std::vector<float> Margins(Runner* runner, const DataSet& data, MeasureOptions options) {
    options.batch_size = 4;
    const auto found = runner->Measure(data, options);
    EXPECT_TRUE(found.ok()) << found.status();
    return found.ok() ? found->margins : std::vector<float>();
  }

  // One with weight 1 + 2^-12, which no 16-bit float and no TF32 has.
  static std::shared_ptr<const StateDict> FineModel() {
    std::vector<float> weight(12, 0.0f);
    for (size_t c = 0; c < 3; ++c) weight[c * 5] = 1.0f + 1.0f / 4096;
    return MakeStateDict({Tensor("bias", {3}, {0, 0, 0}), Tensor("weight", {3, 4}, weight)});
  }

  std::unique_ptr<Runner> runner_;
};

TEST_P(RunnerDeviceTest, GivesWhatTheCpuGives) {
  const auto on_cpu = Load("linear.pt");
  const MemoryDataSet data = WholeData(11);
  Ingredients soup;
  for (int seed = 0; seed < 8; ++seed) {
    soup.push_back(WholeModel(seed));
    if ((soup.size() & (soup.size() - 1)) != 0) continue;  // a mean of thirds is no whole number
    for (Runner* runner : {runner_.get(), on_cpu.get()}) {
      ASSERT_TRUE(runner->SetWeights(soup, {}, std::nullopt).ok());
    }
    const std::vector<float> expected = Margins(on_cpu.get(), data, {});
    EXPECT_EQ(expected.size(), 11u);
    EXPECT_EQ(Margins(runner_.get(), data, {}), expected) << soup.size() << " ingredients";
    EXPECT_EQ(Margins(runner_.get(), data, {}), expected) << "once more, from what stayed";
  }
}

TEST_P(RunnerDeviceTest, DataSetsAreNotMistakenForEachOther) {
  const auto on_cpu = Load("linear.pt");
  const Ingredients one = {WholeModel(1)};
  ASSERT_TRUE(runner_->SetWeights(one, {}, std::nullopt).ok());
  ASSERT_TRUE(on_cpu->SetWeights(one, {}, std::nullopt).ok());
  for (const int64_t count : {7, 9, 7}) {
    EXPECT_EQ(Margins(runner_.get(), WholeData(count), {}),
              Margins(on_cpu.get(), WholeData(count), {}));
  }
}

TEST_P(RunnerDeviceTest, VisitsExamplesInTheOrderThatIsAskedForAndStopsWhenTold) {
  const MemoryDataSet data = WholeData(11);
  ASSERT_TRUE(runner_->SetWeights(Ingredients{WholeModel(2)}, {}, std::nullopt).ok());
  const std::vector<int64_t> order = {10, 3, 5, 0, 1, 2, 9, 4, 8, 7, 6};
  MeasureOptions options;
  options.order = order;
  options.batch_size = 3;
  std::vector<int64_t> visited, first_of_batch;
  const absl::Status status = runner_->Run(data, options, [&](const OutputBatch& batch) {
    visited.insert(visited.end(), batch.examples.begin(), batch.examples.end());
    first_of_batch.push_back(batch.first);
    return batch.first < 6 ? absl::OkStatus() : absl::CancelledError("enough");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(first_of_batch, ElementsAre(0, 3, 6));
  EXPECT_THAT(visited, ElementsAre(10, 3, 5, 0, 1, 2, 9, 4, 8));
}

// What the sink has been given is never given to it again.
TEST_P(RunnerDeviceTest, ASinkThatRunsOutOfMemoryEndsTheRun) {
  ASSERT_TRUE(runner_->SetWeights(Ingredients{WholeModel(2)}, {}, std::nullopt).ok());
  MeasureOptions options;
  options.batch_size = 3;
  int calls = 0;
  const absl::Status status = runner_->Run(WholeData(11), options, [&](const OutputBatch&) {
    return ++calls < 2 ? absl::OkStatus() : absl::ResourceExhaustedError("no memory");
  });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(calls, 2);
}

TEST_P(RunnerDeviceTest, SixteenBitsRoundInsideForwardAndNowhereElse) {
  ASSERT_TRUE(runner_->SetWeights(Ingredients{FineModel()}, {}, std::nullopt).ok());
  const MemoryDataSet unit(
      {MakeTensor("x", DType::kFloat32, {1, 4}, std::vector<float>{1, 0, 0, 0})},
      std::vector<int64_t>{0});
  const auto margin = [&](Precision precision) {
    MeasureOptions options;
    options.precision = precision;
    return Margins(runner_.get(), unit, options).at(0);
  };
  EXPECT_EQ(margin(Precision::kFloat32), 1.0f + 1.0f / 4096);
  EXPECT_EQ(margin(Precision::kBFloat16), 1.0f);
  EXPECT_EQ(margin(Precision::kFloat16), 1.0f);
  EXPECT_EQ(margin(Precision::kFloat32), 1.0f + 1.0f / 4096) << "the weights are as they were";
}

TEST_P(RunnerDeviceTest, ImagesLieWithTheirChannelsLastWhereThatIsAskedFor) {
  const auto strides = Load("strides.pt", GetParam());
  ASSERT_TRUE(strides->SetWeights(Ingredients{WholeModel(0)}, {}, std::nullopt).ok());
  const MemoryDataSet images(
      {MakeTensor("x", DType::kFloat32, {2, 3, 4, 5}, std::vector<float>(120))},
      std::vector<int64_t>{0, 0});
  const auto between = [&](bool channels_last) {
    MeasureOptions options;
    options.channels_last = channels_last;
    std::vector<float> found;
    const absl::Status status = strides->Run(images, options, [&](const OutputBatch& batch) {
      found.assign(batch.values.begin(), batch.values.begin() + 2);
      return absl::OkStatus();
    });
    EXPECT_TRUE(status.ok()) << status;
    return found;
  };
  // WholeModel(0) has the bias 0, 1, 2.
  EXPECT_THAT(between(false), ElementsAre(4 * 5, 1 + 1));
  EXPECT_THAT(between(true), ElementsAre(1, 3 + 1));
}

TEST_P(RunnerDeviceTest, Tf32IsForCardsAlone) {
  ASSERT_TRUE(runner_->SetWeights(Ingredients{WholeModel(0)}, {}, std::nullopt).ok());
  MeasureOptions options;
  options.precision = Precision::kTf32;
  const auto found = runner_->Measure(WholeData(5), options);
  if (GetParam() == "cpu") {
    EXPECT_EQ(found.status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(GetErrorFacts(found.status()).reason, "PRECISION_UNSUPPORTED");
    EXPECT_THAT(std::string(found.status().message()), HasSubstr("compute.precision"));
  } else {
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->margins, Margins(runner_.get(), WholeData(5), {}))
        << "whole numbers are exact";
  }
}

TEST_P(RunnerDeviceTest, LearnsWhatTheCpuLearns) {
  const auto on_cpu = Load("linear.pt");
  LearningOptions options;
  options.batch_size = 4;
  const MemoryDataSet data = Data();
  const LearnedEpoch expected = Learn(on_cpu.get(), LinearModels(), data, options);
  const LearnedEpoch found = Learn(runner_.get(), LinearModels(), data, options);
  ASSERT_EQ(found.coefficients.size(), expected.coefficients.size());
  for (size_t i = 0; i < expected.coefficients.size(); ++i) {
    EXPECT_NEAR(found.coefficients[i], expected.coefficients[i], 1e-5);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, RunnerDeviceTest, testing::Values("cpu", "cuda"));

}  // namespace
}  // namespace stockpot
