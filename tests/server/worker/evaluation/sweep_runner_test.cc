// Real models on real data, against what PyTorch itself found; skipped where the sweep is not.
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <iostream>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "server/worker/evaluation/evaluator.h"
#include "tests/support/shared_data.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

class SweepRunner : public testing::Test {
 protected:
  void SetUp() override {
    sweep_ = SharedData();
    if (sweep_.empty()) GTEST_SKIP() << kNoSharedData;
    auto runner = Runner::Load(sweep_ + "/arch.pt", "cpu");
    ASSERT_TRUE(runner.ok()) << runner.status();
    runner_ = *std::move(runner);
    for (const int i : {0, 4}) {
      auto opened =
          OpenCheckpoint(sweep_ + "/checkpoints/model_0" + std::to_string(i) + ".safetensors", {});
      ASSERT_TRUE(opened.ok()) << opened.status();
      checkpoints_.push_back(*opened);
    }
    std::ifstream file(sweep_ + "/reference.json");
    reference_ = nlohmann::json::parse(file)["individual"];
  }

  std::shared_ptr<const DataSet> Open(DataSetSource::Kind kind, const std::string& name) {
    DataSetSource source;
    source.kind = kind;
    source.path = sweep_ + "/" + name;
    auto opened = OpenDataSet(source, cache_ / "data", {});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }

  Measurement Measure(const DataSet& data_set) {
    MeasureOptions options;
    options.inputs = {{.data_set_input = "images",
                       .argument = "",
                       .scale_to_unit = true,
                       .mean = {0.4914f, 0.4822f, 0.4465f},
                       .std = {0.2470f, 0.2435f, 0.2616f}}};
    auto found = runner_->Measure(data_set, options);
    EXPECT_TRUE(found.ok()) << found.status();
    return *std::move(found);
  }

  void SetWeights(std::vector<std::shared_ptr<const StateDict>> ingredients) {
    ASSERT_TRUE(runner_->SetWeights(ingredients, {}, std::nullopt).ok());
  }

  TemporaryFolder cache_;
  std::string sweep_;
  std::unique_ptr<Runner> runner_;
  std::vector<std::shared_ptr<const StateDict>> checkpoints_;
  nlohmann::json reference_;
};

TEST_F(SweepRunner, CountsAreTheReferencesFromImagesAndFromTensors) {
  const auto images = Open(DataSetSource::Kind::kImageFolder, "held_out");
  const auto tensors = Open(DataSetSource::Kind::kTensors, "held_out.safetensors");
  for (size_t i = 0; i < checkpoints_.size(); ++i) {
    SetWeights({checkpoints_[i]});
    const auto begin = std::chrono::steady_clock::now();
    const Measurement found = Measure(*tensors);
    const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - begin;
    std::cout << "a pass over " << found.example_count << " images: " << seconds.count() << " s\n";
    const auto& expected =
        reference_[i == 0 ? "model_00.safetensors" : "model_04.safetensors"]["held_out"];
    EXPECT_EQ(found.top1_correct, expected["correct"].get<int64_t>());
    EXPECT_NEAR(found.cross_entropy_sum / static_cast<double>(found.example_count),
                expected["loss"].get<double>(), 1e-6);
    EXPECT_EQ(found.margins, Measure(*images).margins) << "the same pixels, the same bits";
  }
}

TEST_F(SweepRunner, WeightsSwappedOutAndBackGiveTheSameBits) {
  const auto tensors = Open(DataSetSource::Kind::kTensors, "held_out.safetensors");
  SetWeights({checkpoints_[0]});
  const Measurement first = Measure(*tensors);
  SetWeights(checkpoints_);
  const Measurement blend = Measure(*tensors);
  EXPECT_NE(blend.cross_entropy_sum, first.cross_entropy_sum);
  SetWeights({checkpoints_[0]});
  const Measurement again = Measure(*tensors);
  EXPECT_EQ(again.margins, first.margins);
  EXPECT_EQ(again.cross_entropy_sum, first.cross_entropy_sum);
}

}  // namespace
}  // namespace stockpot
