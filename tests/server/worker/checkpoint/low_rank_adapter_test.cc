// LoRA adapters against the formula, written out in loops over small matrices. The files of real
// peft adapters are compared with peft's own merge in tests/cross_checks.
#include "server/worker/checkpoint/low_rank_adapter.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>

#include "server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/write_tensors.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::Contains;
using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kPrefix[] = "base_model.model.";

class LowRankAdapterTest : public testing::Test {
 protected:
  Numbers Random(const std::string& name, std::vector<int64_t> shape) {
    Numbers tensor{name, std::move(shape), {}};
    size_t count = 1;
    for (const int64_t size : tensor.shape) count *= static_cast<size_t>(size);
    std::normal_distribution<float> normal;
    for (size_t i = 0; i < count; ++i) tensor.numbers.push_back(normal(random_));
    return tensor;
  }

  void WriteAdapter(std::vector<Numbers> tensors, const std::string& options = "") {
    for (Numbers& tensor : tensors) tensor.name = kPrefix + tensor.name;
    WriteTensors(folder_ / "adapter_model.safetensors", tensors);
    WriteConfig(R"({"peft_type": "LORA", "lora_alpha": 6)" + options + "}");
  }
  void WriteConfig(const std::string& text) { WriteBytes(folder_ / "adapter_config.json", text); }

  absl::StatusOr<std::shared_ptr<const StateDict>> Merge(const std::vector<Numbers>& base) {
    WriteTensors(folder_ / "base", base);
    return OpenLocalCheckpoint(folder_.path(), *OpenCheckpoint(folder_ / "base", {}), {});
  }
  std::string Error(const std::vector<Numbers>& base) { return Says(Merge(base).status()); }

  static std::vector<float> Read(const StateDict& state_dict, const std::string& name) {
    const auto index = FindTensor(state_dict.tensors(), name);
    if (!index.has_value()) return {};
    std::vector<char> scratch;
    const auto bytes = state_dict.Read(*index, &scratch);
    std::vector<float> numbers(bytes->size() / sizeof(float));
    std::memcpy(numbers.data(), bytes->data(), bytes->size());
    return numbers;
  }

  // W + scale · B A, of [rows, columns], where A is [rank, columns] and B [rows, rank].
  static std::vector<float> Expected(const std::vector<float>& w, const std::vector<float>& a,
                                     const std::vector<float>& b, size_t rank, double scale) {
    const size_t columns = a.size() / rank, rows = b.size() / rank;
    std::vector<float> out(w.size());
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) {
        double sum = 0;
        for (size_t k = 0; k < rank; ++k) {
          sum += static_cast<double>(b[i * rank + k]) * static_cast<double>(a[k * columns + j]);
        }
        out[i * columns + j] =
            static_cast<float>(static_cast<double>(w[i * columns + j]) + scale * sum);
      }
    }
    return out;
  }
  static std::vector<float> Transposed(const std::vector<float>& matrix, size_t columns) {
    const size_t rows = matrix.size() / columns;
    std::vector<float> out(matrix.size());
    for (size_t i = 0; i < rows; ++i) {
      for (size_t j = 0; j < columns; ++j) out[j * rows + i] = matrix[i * columns + j];
    }
    return out;
  }

  const TemporaryFolder folder_;
  std::mt19937 random_{5};
};

TEST_F(LowRankAdapterTest, LinearLayersAreMergedWithEveryScale) {
  const Numbers w = Random("q.weight", {33, 4}), other = Random("other", {3});
  const Numbers a = Random("q.lora_A.weight", {3, 4}), b = Random("q.lora_B.weight", {33, 3});
  const struct {
    const char* options;
    double scale;
  } cases[] = {
      {"", 2.0},
      {R"(, "use_rslora": true)", 6 / std::sqrt(3.0)},
      {R"(, "alpha_pattern": {"q": 9})", 3.0},
      {R"(, "alpha_pattern": {"^q": 9, "k": 1})", 3.0},
      {R"(, "alpha_pattern": {"uq": 9}, "rank_pattern": {"q": 3}, "r": 8)", 2.0},
      {R"(, "init_lora_weights": true, "use_dora": false, "bias": "none")", 2.0},
  };
  for (const auto& [options, scale] : cases) {
    WriteAdapter({a, b}, options);
    const auto merged = Merge({w, other});
    ASSERT_TRUE(merged.ok()) << merged.status() << options;
    EXPECT_EQ(Read(**merged, "q.weight"), Expected(w.numbers, a.numbers, b.numbers, 3, scale));
    EXPECT_EQ(Read(**merged, "other"), other.numbers);
    EXPECT_EQ((*merged)->tensors().size(), 2u);
    EXPECT_EQ((*merged)->format(), "LoRA adapter over safetensors");
  }
}

TEST_F(LowRankAdapterTest, TransposedLayersAndEmbeddings) {
  const Numbers w = Random("c.weight", {4, 6}), e = Random("wte.weight", {7, 3});
  const Numbers a = Random("c.lora_A.weight", {2, 4}), b = Random("c.lora_B.weight", {6, 2});
  const Numbers ea = Random("wte.lora_embedding_A", {2, 7});
  const Numbers eb = Random("wte.lora_embedding_B", {3, 2});
  WriteAdapter({a, b, ea, eb}, R"(, "fan_in_fan_out": true)");
  const auto merged = Merge({w, e});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(Transposed(Read(**merged, "c.weight"), 6),
            Expected(Transposed(w.numbers, 6), a.numbers, b.numbers, 2, 3));
  EXPECT_EQ(Transposed(Read(**merged, "wte.weight"), 3),
            Expected(Transposed(e.numbers, 3), ea.numbers, eb.numbers, 2, 3));
}

TEST_F(LowRankAdapterTest, Convolutions) {
  const Numbers w = Random("conv.weight", {5, 3, 2, 2});
  const Numbers a = Random("conv.lora_A.weight", {2, 3, 2, 2});
  const Numbers b = Random("conv.lora_B.weight", {5, 2, 1, 1});
  WriteAdapter({a, b});
  const auto merged = Merge({w});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(Read(**merged, "conv.weight"), Expected(w.numbers, a.numbers, b.numbers, 2, 3));
}

TEST_F(LowRankAdapterTest, DoraScalesEachOutputToItsMagnitude) {
  for (const bool transposed : {false, true}) {
    const size_t outputs = 6, inputs = 4;
    const Numbers w = transposed ? Random("q.weight", {4, 6}) : Random("q.weight", {6, 4});
    const Numbers a = Random("q.lora_A.weight", {2, 4}), b = Random("q.lora_B.weight", {6, 2});
    Numbers m = Random("q.lora_magnitude_vector", {6});
    WriteAdapter({a, b, m}, transposed ? R"(, "use_dora": true, "fan_in_fan_out": true)"
                                       : R"(, "use_dora": true)");
    const auto merged = Merge({w});
    ASSERT_TRUE(merged.ok()) << merged.status();
    const std::vector<float> before = transposed ? Transposed(w.numbers, outputs) : w.numbers;
    const std::vector<float> expected = Expected(before, a.numbers, b.numbers, 2, 3);
    std::vector<float> found = Read(**merged, "q.weight");
    if (transposed) found = Transposed(found, outputs);
    for (size_t i = 0; i < outputs; ++i) {
      double square = 0;
      for (size_t j = 0; j < inputs; ++j) square += std::pow(expected[i * inputs + j], 2);
      for (size_t j = 0; j < inputs; ++j) {
        EXPECT_NEAR(found[i * inputs + j],
                    expected[i * inputs + j] * m.numbers[i] / std::sqrt(square), 1e-6);
      }
    }
  }
}

TEST_F(LowRankAdapterTest, WholeTensorsBiasesAndNewOnes) {
  const Numbers w = Random("q.weight", {2, 2}), bias = Random("q.bias", {2});
  const Numbers a = Random("q.lora_A.weight", {1, 2}), b = Random("q.lora_B.weight", {2, 1});
  const Numbers trained = Random("q.base_layer.bias", {2}), head = Random("head.weight", {3, 2});
  WriteAdapter({a, b, trained, head});
  const auto merged = Merge({w, bias});
  ASSERT_TRUE(merged.ok()) << merged.status();
  EXPECT_EQ(Read(**merged, "q.bias"), trained.numbers);
  EXPECT_EQ(Read(**merged, "head.weight"), head.numbers);
  EXPECT_THAT((*merged)->notes(), Contains("the adapter adds 'head.weight'"));

  const Numbers added = Random("q.lora_B.bias", {2});
  WriteAdapter({a, b, added});
  const auto with_bias = Merge({w, bias});
  ASSERT_TRUE(with_bias.ok()) << with_bias.status();
  for (size_t i = 0; i < 2; ++i) {
    EXPECT_EQ(Read(**with_bias, "q.bias")[i],
              static_cast<float>(double{bias.numbers[i]} + 6 * double{added.numbers[i]}));
  }
}

TEST_F(LowRankAdapterTest, PrefixesOnEitherSideAreFoundOut) {
  const Numbers a = Random("t.q.lora_A.weight", {1, 2}), b = Random("t.q.lora_B.weight", {2, 1});
  WriteAdapter({a, b});
  for (const char* name : {"q.weight", "t.q.weight", "model.t.q.weight"}) {
    const Numbers w = Random(name, {2, 2});
    const auto merged = Merge({w});
    ASSERT_TRUE(merged.ok()) << merged.status();
    EXPECT_EQ(Read(**merged, name), Expected(w.numbers, a.numbers, b.numbers, 1, 6)) << name;
  }
}

TEST_F(LowRankAdapterTest, WhatIsNotUnderstoodIsRefusedByName) {
  const Numbers w = Random("q.weight", {2, 2});
  const Numbers a = Random("q.lora_A.weight", {1, 2}), b = Random("q.lora_B.weight", {2, 1});
  const char* const options[] = {
      R"("init_lora_weights": "pissa")",
      R"("init_lora_weights": "olora")",
      R"("layer_replication": [[0, 1]])",
      R"("target_parameters": ["x"])",
      R"("trainable_token_indices": [1])",
      R"("use_qalora": true)",
      R"("use_something_new": true)",
      R"("megatron_config": {"a": 1})",
      R"("alpha_pattern": {"layers\\.[0-9]": 3})",
  };
  for (const std::string option : options) {
    WriteAdapter({a, b}, ", " + option);
    const std::string name = option.substr(1, option.find('"', 1) - 1);
    EXPECT_THAT(Error({w}),
                AllOf(StartsWith("UNIMPLEMENTED CHECKPOINT_UNSUPPORTED"), HasSubstr(name)));
  }
  WriteAdapter({a, b});
  WriteConfig(R"({"peft_type": "IA3", "lora_alpha": 6})");
  EXPECT_THAT(Error({w}), AllOf(StartsWith("UNIMPLEMENTED"), HasSubstr("IA3")));
  WriteAdapter({a, b, Random("q.lora_C.weight", {1})});
  EXPECT_THAT(Error({w}), AllOf(StartsWith("UNIMPLEMENTED"), HasSubstr("q.lora_C.weight")));
}

TEST_F(LowRankAdapterTest, WhatDoesNotFitTheBaseSaysWhatAndHow) {
  const Numbers a = Random("q.lora_A.weight", {1, 2}), b = Random("q.lora_B.weight", {2, 1});
  WriteAdapter({a, b});
  const std::string mismatch = "INVALID_ARGUMENT CHECKPOINT_MISMATCH tensor 'q.weight': ";
  EXPECT_THAT(Error({Random("k.weight", {2, 2})}), StartsWith(mismatch + "is adapted"));
  EXPECT_THAT(Error({Random("q.weight", {2, 3})}),
              AllOf(StartsWith(mismatch), HasSubstr("F32 [2, 3]")));
  EXPECT_THAT(Error({Random("q.weight", {2})}), StartsWith(mismatch));
  WriteAdapter({a});
  EXPECT_THAT(Error({Random("q.weight", {2, 2})}), StartsWith(mismatch + "has one factor"));
  WriteAdapter({a, Random("q.lora_B.weight", {2, 2})});
  EXPECT_THAT(Error({Random("q.weight", {2, 2})}), StartsWith(mismatch));
  WriteAdapter({Random("q.lora_A.weight", {0, 2}), Random("q.lora_B.weight", {2, 0})});
  EXPECT_THAT(Error({Random("q.weight", {2, 2})}), StartsWith(mismatch));
  WriteConfig("[]");
  EXPECT_THAT(Error({Random("q.weight", {2, 2})}), StartsWith("INVALID_ARGUMENT"));
  EXPECT_THAT(Says(OpenLocalCheckpoint(folder_.path(), nullptr, {}).status()),
              AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr("base")));
}

}  // namespace
}  // namespace stockpot
