// That learning holds one model and its gradient, however many ingredients there are.
#include <gtest/gtest.h>

#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/learning.h"
#include "tests/server/worker/evaluation/memory_data_set.h"
#include "tests/server/worker/evaluation/peak_memory.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

void WriteWide(const std::string& path) {
  const auto some = [](size_t count) { return std::vector<float>(count, 0.01f); };
  WriteSafetensors(path, {MakeTensor("first", DType::kFloat32, {2048, 4}, some(2048 * 4)),
                          MakeTensor("last", DType::kFloat32, {3, 4096}, some(3 * 4096)),
                          MakeTensor("middle", DType::kFloat32, {2048, 4096}, some(2048 * 4096))});
}

TEST(LearnEpochMemory, DoesNotGrowWithTheIngredients) {
  const TemporaryFolder folder;
  WriteWide(folder / "wide.safetensors");
  auto loaded = Runner::Load("tests/support/models/wide.pt", "cpu");
  ASSERT_TRUE(loaded.ok()) << loaded.status();
  const MemoryDataSet data({MakeTensor("x", DType::kFloat32, {8, 4}, std::vector<float>(32, 1.0f))},
                           {0, 1, 2, 0, 1, 2, 0, 1});
  const auto peak = [&](size_t count) {
    std::vector<std::shared_ptr<const StateDict>> ingredients;
    for (size_t k = 0; k < count; ++k) {
      ingredients.push_back(*OpenCheckpoint(folder / "wide.safetensors", {}));
    }
    LearningOptions options;
    options.batch_size = 4;
    PeakMemory memory;
    const auto learned = (*loaded)->LearnEpoch(ingredients, data, options);
    EXPECT_TRUE(learned.ok()) << learned.status();
    return memory.Stop();
  };
  peak(4);  // what the first use of anything costs
  const int64_t four = peak(4), twelve = peak(12);
  std::cout << "anonymous memory at most: " << four << " KiB with 4 ingredients, " << twelve
            << " KiB with 12\n";
  EXPECT_GT(four, 2 * 32 * 1024) << "the model and its gradient were seen";
  if (!kSanitized) {
    // 1 MiB: tables of tensors and what the allocator rounds up.
    EXPECT_LE(twelve, four + four / 10 + 1024);
  }
}

}  // namespace
}  // namespace stockpot
