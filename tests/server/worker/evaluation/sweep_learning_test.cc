// The learned soup on real models; skipped where the shared sweep is not.
//
// With $STOCKPOT_LEARNED_REFERENCE, what a plain PyTorch program found (JSON: "epochs", each with
// "coefficients", "temperature" and "mean_loss"; batches of 250, seed 7), every epoch is held
// against that. $STOCKPOT_LEARNED_CONSTRAINT: softmax, free or sum_to_one; as many coefficients as
// the reference has.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/learning.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

class SweepLearning : public testing::Test {
 protected:
  void SetUp() override {
    const std::string sweep = SharedData();
    if (sweep.empty()) GTEST_SKIP() << kNoSharedData;
    auto runner = Runner::Load(sweep + "/arch.pt", "cpu");
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    for (int i = 0; i < 12; ++i) {
      auto opened =
          OpenCheckpoint(absl::StrFormat("%s/checkpoints/model_%02d.safetensors", sweep, i), {});
      ASSERT_TRUE(opened.ok()) << opened.status();
      models_.push_back(*opened);
    }
    DataSetSource source;
    source.kind = DataSetSource::Kind::kTensors;
    source.path = sweep + "/held_out.safetensors";
    auto data_set = OpenDataSet(source, cache_ / "data", {});
    ASSERT_TRUE(data_set.ok()) << data_set.status();
    data_set_ = *data_set;
  }

  static std::vector<InputBinding> Inputs() {
    return {{.data_set_input = "images",
             .argument = "",
             .scale_to_unit = true,
             .mean = {0.4914f, 0.4822f, 0.4465f},
             .std = {0.2470f, 0.2435f, 0.2616f}}};
  }

  double Loss(const std::vector<double>& coefficients) {
    EXPECT_TRUE(runner_->SetWeights(models_, coefficients, std::nullopt).ok());
    MeasureOptions options;
    options.inputs = Inputs();
    const auto found = runner_->Measure(*data_set_, options);
    EXPECT_TRUE(found.ok()) << found.status();
    return found->cross_entropy_sum / static_cast<double>(found->example_count);
  }

  TemporaryFolder cache_;
  std::unique_ptr<Runner> runner_;
  std::vector<std::shared_ptr<const StateDict>> models_;
  std::shared_ptr<const DataSet> data_set_;
};

// The largest difference of any coefficient.
double Difference(const std::vector<double>& found, const std::vector<double>& expected) {
  EXPECT_EQ(found.size(), expected.size());
  double largest = 0;
  for (size_t i = 0; i < std::min(found.size(), expected.size()); ++i) {
    largest = std::max(largest, std::abs(found[i] - expected[i]));
  }
  return largest;
}

TEST_F(SweepLearning, LowersTheLossAndIsWhatPyTorchFinds) {
  nlohmann::json reference;
  if (const char* path = std::getenv("STOCKPOT_LEARNED_REFERENCE")) {
    std::ifstream file(path);
    reference = nlohmann::json::parse(file)["epochs"];
  }
  LearningOptions options;
  options.inputs = Inputs();
  options.seed = 7;
  if (const char* constraint = std::getenv("STOCKPOT_LEARNED_CONSTRAINT")) {
    using Constraint = CoefficientLearner::Constraint;
    const std::map<std::string, Constraint> known = {{"softmax", Constraint::kSoftmax},
                                                     {"free", Constraint::kFree},
                                                     {"sum_to_one", Constraint::kSumToOne}};
    options.constraint = known.at(constraint);
  }
  options.per_tensor = !reference.is_null() && reference[0]["coefficients"].size() > models_.size();
  LearnedEpoch learned;
  const int64_t epochs = reference.is_null() ? 1 : static_cast<int64_t>(reference.size());
  for (options.epoch = 0; options.epoch < epochs; ++options.epoch) {
    auto epoch = runner_->LearnEpoch(models_, *data_set_, options);
    ASSERT_TRUE(epoch.ok()) << epoch.status();
    learned = *std::move(epoch);
    options.state = learned.state;
    if (reference.is_null()) continue;
    const auto& expected = reference[static_cast<size_t>(options.epoch)];
    const double difference =
        Difference(learned.coefficients, expected["coefficients"].get<std::vector<double>>());
    std::cout << "epoch " << options.epoch << ": mean loss " << learned.mean_loss
              << ", coefficients differ by " << difference << "\n";
    EXPECT_LT(difference, 1e-3);
    EXPECT_NEAR(learned.temperature, expected["temperature"].get<double>(), 1e-3);
    EXPECT_NEAR(learned.mean_loss, expected["mean_loss"].get<double>(), 1e-3);
  }
  // Free coefficients need more or smaller steps: they leave the simplex at first.
  if (options.constraint != CoefficientLearner::Constraint::kFree) {
    EXPECT_LE(Loss(learned.coefficients), Loss({}));
  }
}

}  // namespace
}  // namespace stockpot
