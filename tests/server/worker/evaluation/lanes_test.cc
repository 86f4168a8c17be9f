// A few examples at a time on each core of a CPU.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <memory>
#include <numeric>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/worker/evaluation/batch_rows.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/memory_data_set.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

// ---- RowsForCache ----

// Megabytes that one example takes and that weights are, of models that were run with powers of two
// from 2 to 32 or 128 (by PyTorch, in two processes of one thread, on cores with 2 MiB of cache):
// the comments say what was fastest, and how much of that the rule's number gave.
TEST(RowsForCache, AreNearWhatWasMeasuredFastest) {
  const struct {
    const char* model;
    double peak, total, weights;
    int64_t rows;
  } cases[] = {
      {"residual network, 32²", 0.48, 3.9, 1.4, 8},          // 8
      {"MobileNetV3 small, 224²", 2.36, 26.1, 10.2, 4},      // 4
      {"SqueezeNet 1.1, 224²", 6.31, 39.2, 4.9, 4},          // 2; 93 %
      {"ResNet-18, 224²", 6.42, 63.1, 46.8, 4},              // 8; 91 %
      {"ViT-B/32, 224²", 4.87, 49.9, 352.9, 32},             // 32
      {"transformer, 64 tokens", 0.459, 4.2, 12.6, 16},      // 32; 93 %
      {"three layers of 4,096", 0.033, 0.07, 96.1, 4096},    // 128, the most tried
      {"one layer, 768 to 1,000", 0.004, 0.004, 3.1, 4096},  // 128, the most tried
  };
  for (const auto& test : cases) {
    const auto bytes = [](double megabytes) { return std::llround(megabytes * 1e6); };
    EXPECT_EQ(RowsForCache({bytes(test.peak), bytes(test.total)}, bytes(test.weights)), test.rows)
        << test.model;
  }
}

TEST(RowsForCache, AreAPowerOfTwoOfAnyModel) {
  for (const int64_t peak : {0, 1, 1 << 20, 1 << 30}) {
    for (const int64_t total : {int64_t{0}, int64_t{1}, int64_t{1} << 40}) {
      for (const int64_t weights : {int64_t{0}, int64_t{1} << 50}) {
        const int64_t rows = RowsForCache({peak, total}, weights);
        EXPECT_GE(rows, 4);
        EXPECT_LE(rows, 65536);
        EXPECT_EQ(rows & (rows - 1), 0);
      }
    }
  }
}

// ---- Runs ----

class ComputeThreads {
 public:
  explicit ComputeThreads(int count) { SetComputeThreads(count); }
  ~ComputeThreads() { SetComputeThreads(0); }
};

std::vector<float> Numbers(size_t count) {
  std::mt19937 random(7);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(count);
  std::generate(numbers.begin(), numbers.end(), [&] { return normal(random); });
  return numbers;
}

MemoryDataSet DrawData(int count, const std::vector<int64_t>& shape) {
  std::vector<int64_t> whole = {count}, labels;
  size_t numbers = static_cast<size_t>(count);
  for (const int64_t side : shape) {
    whole.push_back(side);
    numbers *= static_cast<size_t>(side);
  }
  for (int i = 0; i < count; ++i) labels.push_back(i % 3);
  return MemoryDataSet({MakeTensor("x", DType::kFloat32, whole, Numbers(numbers))}, labels);
}

// A model with these tensors, all of them some numbers.
std::unique_ptr<Runner> LoadWithNumbers(const std::string& model) {
  auto runner = Runner::Load(absl::StrCat("tests/support/models/", model), "cpu");
  EXPECT_TRUE(runner.ok()) << runner.status();
  const TemporaryFolder folder;
  std::vector<MadeTensor> tensors;
  for (const TensorInfo& tensor : (*runner)->tensors()) {
    size_t count = 1;
    for (const int64_t side : tensor.shape) count *= static_cast<size_t>(side);
    tensors.push_back(MakeTensor(tensor.name, tensor.dtype, tensor.shape, Numbers(count)));
  }
  WriteSafetensors(folder / "weights.safetensors", tensors);
  const std::vector<std::shared_ptr<const StateDict>> one = {
      *OpenCheckpoint(folder / "weights.safetensors", {})};
  EXPECT_TRUE((*runner)->SetWeights(one, {}, std::nullopt).ok());
  return *std::move(runner);
}

TEST(Lanes, GiveTheSameBitsForAnyNumberOfThreads) {
  const struct {
    std::string model;
    std::vector<int64_t> shape;
  } cases[] = {{"linear.pt", {4}}, {"layer_norm.pt", {64}}, {"digits.pt", {3, 8, 8}}};
  for (const auto& test : cases) {
    const MemoryDataSet data = DrawData(101, test.shape);
    std::vector<float> first;
    for (const int threads : {1, 2, 3, 8}) {
      const ComputeThreads set(threads);
      const auto runner = LoadWithNumbers(test.model);
      MeasureOptions options;
      options.batch_size = 8;
      int64_t told = 0;
      options.progress = [&](int64_t done) {
        EXPECT_GT(done, std::exchange(told, done));
        return absl::OkStatus();
      };
      const auto found = runner->Measure(data, options);
      ASSERT_TRUE(found.ok()) << found.status();
      EXPECT_EQ(told, 101);
      if (first.empty()) first = found->margins;
      EXPECT_EQ(found->margins, first) << test.model << ", " << threads << " threads";
    }
  }
}

TEST(Lanes, FollowTheOrderAndEndWhereTheSinkSaysSo) {
  const ComputeThreads set(4);
  const auto runner = LoadWithNumbers("linear.pt");
  const MemoryDataSet data = DrawData(101, {4});
  std::vector<int64_t> order(101);
  std::iota(order.rbegin(), order.rend(), 0);
  MeasureOptions options;
  options.batch_size = 4;
  options.order = order;
  std::vector<int64_t> seen;
  const absl::Status ended = runner->Run(data, options, [&](const OutputBatch& batch) {
    EXPECT_EQ(batch.first, static_cast<int64_t>(seen.size()));
    seen.insert(seen.end(), batch.examples.begin(), batch.examples.end());
    return seen.size() < 40 ? absl::OkStatus() : absl::CancelledError("enough");
  });
  EXPECT_EQ(ended.message(), "enough");
  EXPECT_EQ(seen, std::vector<int64_t>(order.begin(), order.begin() + 40));
}

TEST(Lanes, NameTheBatchThatFailed) {
  const ComputeThreads set(4);
  const auto runner = LoadWithNumbers("throws_above_two.pt");
  MemoryDataSet data = DrawData(64, {4});
  MeasureOptions options;
  options.batch_size = 4;
  const auto failed = runner->Measure(data, options);
  EXPECT_THAT(std::string(failed.status().message()),
              testing::HasSubstr("model given x F32 [4, 4]"));
}

}  // namespace
}  // namespace stockpot
