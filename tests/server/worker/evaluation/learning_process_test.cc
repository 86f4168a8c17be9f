// That what is learned depends on the task alone: each epoch again in a process of its own.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "server/worker/evaluation/learning.h"
#include "tests/server/worker/evaluation/linear_models.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

constexpr int64_t kManyExamples = 3000, kManyFeatures = 64;

MemoryDataSet ManyExamples() {
  std::vector<float> x;
  std::vector<int64_t> labels;
  for (int64_t i = 0; i < kManyExamples * kManyFeatures; ++i) {
    x.push_back(static_cast<float>(std::sin(0.37 * static_cast<double>(i % 9973))));
  }
  for (int64_t i = 0; i < kManyExamples; ++i) labels.push_back(i * 7 % 3);
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, {kManyExamples, kManyFeatures}, x)},
                       labels);
}

Ingredients NormModels() {
  Ingredients models;
  for (int k = 0; k < 2; ++k) {
    const auto numbers = [k](size_t count) {
      std::vector<float> all;
      for (size_t i = 0; i < count; ++i) {
        all.push_back(static_cast<float>(std::cos(static_cast<double>(i + 1) * (k + 0.7))));
      }
      return all;
    };
    models.push_back(MakeStateDict(
        {Tensor("head.bias", {3}, numbers(3)), Tensor("head.weight", {3, 64}, numbers(192)),
         Tensor("norm.bias", {64}, numbers(64)), Tensor("norm.weight", {64}, numbers(64))}));
  }
  return models;
}

std::string LearnNorm(Runner* runner, int64_t epoch, const std::string& state) {
  LearningOptions options;
  options.batch_size = 1400;
  options.per_tensor = true;
  options.epoch = epoch;
  options.state = state;
  return Learn(runner, NormModels(), ManyExamples(), options).state;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

// Run by the next test, in another process: $STOCKPOT_TEST_THREADS, _EPOCH, _IN, _OUT.
TEST(LearnEpochElsewhere, DISABLED_LearnsOneEpoch) {
  const auto* threads = std::getenv("STOCKPOT_TEST_THREADS");
  ASSERT_NE(threads, nullptr);
  SetComputeThreads(std::atoi(threads));
  const auto runner = Load("layer_norm.pt");
  const std::string state = LearnNorm(runner.get(), std::atoi(std::getenv("STOCKPOT_TEST_EPOCH")),
                                      ReadFile(std::getenv("STOCKPOT_TEST_IN")));
  std::ofstream(std::getenv("STOCKPOT_TEST_OUT"), std::ios::binary) << state;
}

TEST(LearnEpochElsewhere, GivesTheBytesOfAProcessThatDidOtherWorkWithOtherThreads) {
  const TemporaryFolder folder;
  const auto elsewhere = [&](int threads, int64_t epoch, const std::string& state) {
    std::ofstream(folder / "in", std::ios::binary) << state;
    const std::string command = "STOCKPOT_TEST_THREADS=" + std::to_string(threads) +
                                " STOCKPOT_TEST_EPOCH=" + std::to_string(epoch) +
                                " STOCKPOT_TEST_IN=" + (folder / "in") +
                                " STOCKPOT_TEST_OUT=" + (folder / "out") + " " +
                                std::filesystem::read_symlink("/proc/self/exe").string() +
                                " --gtest_also_run_disabled_tests"
                                " --gtest_filter=LearnEpochElsewhere.DISABLED_LearnsOneEpoch > " +
                                (folder / "log");
    EXPECT_EQ(std::system(command.c_str()), 0) << ReadFile(folder / "log");
    return ReadFile(folder / "out");
  };
  const auto runner = Load("layer_norm.pt");
  std::string here;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    const std::string before = here;
    here = LearnNorm(runner.get(), epoch, before);
    ASSERT_FALSE(here.empty());
    for (const int threads : {1, 3}) {
      EXPECT_TRUE(elsewhere(threads, epoch, before) == here) << threads << " threads";
    }
    Learn(Load("linear.pt").get(), LinearModels(), Data(), LearningOptions());
    ASSERT_TRUE(runner->SetWeights(NormModels(), {0.1, 0.9}, DType::kBFloat16).ok());
    ASSERT_TRUE(runner->Measure(ManyExamples(), {}).ok());
  }
}

}  // namespace
}  // namespace stockpot
