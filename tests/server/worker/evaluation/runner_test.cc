#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "server/worker/evaluation/evaluator.h"
#include "tests/server/worker/evaluation/memory_data_set.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr char kModels[] = "tests/support/models/";

class RunnerTest : public testing::Test {
 protected:
  static std::unique_ptr<Runner> Load(const std::string& model) {
    auto runner = Runner::Load(kModels + model, "cpu");
    EXPECT_TRUE(runner.ok()) << runner.status();
    return *std::move(runner);
  }

  std::shared_ptr<const StateDict> Checkpoint(const std::vector<MadeTensor>& tensors) {
    const std::string path = folder_ / (std::to_string(++files_) + ".safetensors");
    WriteSafetensors(path, tensors);
    auto opened = OpenCheckpoint(path, {});
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *opened;
  }

  // weight[c][c] = scale, bias = shift.
  std::shared_ptr<const StateDict> Diagonal(float scale, float shift = 0) {
    std::vector<float> weight(12, 0.0f);
    for (size_t c = 0; c < 3; ++c) weight[c * 4 + c] = scale;
    return Checkpoint({MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>(3, shift)),
                       MakeTensor("weight", DType::kFloat32, {3, 4}, weight)});
  }

  static absl::Status Set(Runner* runner, std::shared_ptr<const StateDict> checkpoint) {
    const std::vector<std::shared_ptr<const StateDict>> one = {std::move(checkpoint)};
    return runner->SetWeights(one, {}, std::nullopt);
  }

  // Example i is the unit vector of its class i % 3, times i + 1.
  static MemoryDataSet Units(int count) {
    std::vector<float> x(static_cast<size_t>(count) * 4, 0.0f);
    std::vector<int64_t> labels;
    for (int i = 0; i < count; ++i) {
      x[static_cast<size_t>(i * 4 + i % 3)] = static_cast<float>(i + 1);
      labels.push_back(i % 3);
    }
    return MemoryDataSet({MakeTensor("x", DType::kFloat32, {count, 4}, x)}, labels);
  }

  static absl::StatusOr<Measurement> Measure(Runner* runner, const DataSet& data_set,
                                             int batch_size = 4,
                                             std::vector<InputBinding> inputs = {}) {
    MeasureOptions options;
    options.batch_size = batch_size;
    options.inputs = std::move(inputs);
    return runner->Measure(data_set, options);
  }

  static void ExpectSame(const Measurement& a, const Measurement& b) {
    EXPECT_EQ(a.example_count, b.example_count);
    EXPECT_EQ(a.top1_correct, b.top1_correct);
    EXPECT_EQ(a.top5_correct, b.top5_correct);
    EXPECT_EQ(a.cross_entropy_sum, b.cross_entropy_sum);
    EXPECT_EQ(a.correct_bits, b.correct_bits);
    EXPECT_EQ(a.margins, b.margins);
  }

  TemporaryFolder folder_;
  int files_ = 0;
};

TEST_F(RunnerTest, ListsParametersAndBuffersByName) {
  const auto runner = Load("batch_norm.pt");
  std::vector<std::string> names;
  for (const TensorInfo& tensor : runner->tensors()) names.push_back(tensor.name);
  EXPECT_THAT(names, testing::ElementsAre("head.bias", "head.weight", "norm.bias",
                                          "norm.num_batches_tracked", "norm.running_mean",
                                          "norm.running_var", "norm.weight"));
  EXPECT_EQ(runner->tensors()[3].dtype, DType::kInt64);
  EXPECT_THAT(runner->tensors()[1].shape, testing::ElementsAre(3, 4));
  EXPECT_THAT(runner->buffers(), testing::ElementsAre("norm.num_batches_tracked",
                                                      "norm.running_mean", "norm.running_var"));
  EXPECT_EQ(runner->device().kind, "cpu");
  EXPECT_THAT(runner->device().numerics, HasSubstr("LibTorch 2."));
}

TEST_F(RunnerTest, RunsTheWeightsItIsGiven) {
  const auto runner = Load("linear.pt");
  ASSERT_TRUE(Set(runner.get(), Diagonal(1)).ok());
  const auto found = Measure(runner.get(), Units(6));
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ(found->top1_correct, 6);
  EXPECT_THAT(found->margins, testing::ElementsAre(1, 2, 3, 4, 5, 6));
  ASSERT_TRUE(Set(runner.get(), Diagonal(-1)).ok());
  EXPECT_EQ(Measure(runner.get(), Units(6))->top1_correct, 0);
}

TEST_F(RunnerTest, BlendsInPlace) {
  const auto runner = Load("linear.pt");
  const std::vector<std::shared_ptr<const StateDict>> two = {Diagonal(1), Diagonal(3)};
  ASSERT_TRUE(runner->SetWeights(two, {}, std::nullopt).ok());
  EXPECT_EQ(Measure(runner.get(), Units(2))->margins[0], 2.0f);
  ASSERT_TRUE(runner->SetWeights(two, {0.25, 0.75}, std::nullopt).ok());
  EXPECT_EQ(Measure(runner.get(), Units(2))->margins[0], 2.5f);
}

TEST_F(RunnerTest, ScoresAreOfTheWeightsRoundedToTheSoupsDtype) {
  const auto runner = Load("linear.pt");
  const std::vector<std::shared_ptr<const StateDict>> one = {Diagonal(1.001f)};
  ASSERT_TRUE(runner->SetWeights(one, {}, DType::kBFloat16).ok());
  EXPECT_EQ(Measure(runner.get(), Units(1))->margins[0], 1.0f);
}

TEST_F(RunnerTest, EveryCallGivesTheBitsOfTheFirst) {
  for (const std::string model : {"linear.pt", "dropout.pt"}) {
    const auto runner = Load(model);
    const MemoryDataSet data = Units(11);
    std::vector<Measurement> found;
    for (int i = 0; i < 4; ++i) {
      ASSERT_TRUE(Set(runner.get(), Diagonal(0.37f)).ok());
      found.push_back(*Measure(runner.get(), data));
      ExpectSame(found.back(), found.front());
      ASSERT_TRUE(Set(runner.get(), Diagonal(-5.0f)).ok());
      ASSERT_TRUE(Measure(runner.get(), Units(3 + i), 2 + i).ok());
    }
  }
}

TEST_F(RunnerTest, ExamplesDoNotDependOnHowManyThereAre) {
  const auto runner = Load("batch_norm.pt");
  const Measurement all = *Measure(runner.get(), Units(8));
  const Measurement padded = *Measure(runner.get(), Units(5));
  EXPECT_EQ(padded.example_count, 5);
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(padded.margins[i], all.margins[i]);
  EXPECT_EQ(Measure(runner.get(), Units(1), 64)->example_count, 1);
}

TEST_F(RunnerTest, BuffersLeftOutAreTheArchitecturesOwn) {
  const auto runner = Load("batch_norm.pt");
  const std::vector<float> ones(4, 1.0f), zeros(4, 0.0f), nines(4, 9.0f);
  std::vector<MadeTensor> tensors = {
      MakeTensor("head.bias", DType::kFloat32, {3}, std::vector<float>(3, 0.0f)),
      MakeTensor("head.weight", DType::kFloat32, {3, 4}, std::vector<float>(12, 0.5f)),
      MakeTensor("norm.bias", DType::kFloat32, {4}, zeros),
      MakeTensor("norm.weight", DType::kFloat32, {4}, ones)};
  const auto without = Checkpoint(tensors);
  tensors.push_back(MakeTensor("norm.running_mean", DType::kFloat32, {4}, nines));
  tensors.push_back(
      MakeTensor("norm.num_batches_tracked", DType::kInt64, {}, std::vector<int64_t>{7}));
  const auto with = Checkpoint(tensors);
  ASSERT_TRUE(Set(runner.get(), without).ok());
  const Measurement first = *Measure(runner.get(), Units(4));
  ASSERT_TRUE(Set(runner.get(), with).ok());
  EXPECT_NE(Measure(runner.get(), Units(4))->cross_entropy_sum, 0.0);
  ASSERT_TRUE(Set(runner.get(), without).ok());
  ExpectSame(*Measure(runner.get(), Units(4)), first);
}

TEST_F(RunnerTest, RefusesWeightsThatDoNotFit) {
  const auto runner = Load("linear.pt");
  const auto bias = MakeTensor("bias", DType::kFloat32, {3}, std::vector<float>(3, 0.0f));
  const auto weight = MakeTensor("weight", DType::kFloat32, {3, 4}, std::vector<float>(12, 0.0f));
  const auto turned = MakeTensor("weight", DType::kFloat32, {4, 3}, std::vector<float>(12, 0.0f));
  const auto extra = MakeTensor("head", DType::kFloat32, {1}, std::vector<float>(1, 0.0f));
  const struct {
    std::vector<MadeTensor> tensors;
    std::string tensor, says;
  } cases[] = {{{bias}, "weight", "missing"},
               {{bias, turned}, "weight", "F32 [4, 3], but the architecture expects F32 [3, 4]"},
               {{bias, extra, weight}, "head", "not in the architecture"}};
  for (const auto& refused : cases) {
    const absl::Status status = Set(runner.get(), Checkpoint(refused.tensors));
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorFacts(status).reason, "CHECKPOINT_MISMATCH");
    EXPECT_EQ(GetErrorFacts(status).metadata["tensor"], refused.tensor);
    EXPECT_THAT(std::string(status.message()), HasSubstr(refused.says));
  }
}

TEST_F(RunnerTest, FindsLogitsInTuplesAndDicts) {
  for (const std::string model : {"tuple.pt", "named_tuple.pt", "dict.pt"}) {
    const auto runner = Load(model);
    ASSERT_TRUE(Set(runner.get(), Diagonal(1)).ok());
    const auto found = Measure(runner.get(), Units(6));
    ASSERT_TRUE(found.ok()) << model << found.status();
    EXPECT_EQ(found->top1_correct, 6) << model;
    EXPECT_EQ(found->margins[5], 6.0f) << model;
  }
}

TEST_F(RunnerTest, NamedArgumentsTakeTheirInputs) {
  const auto runner = Load("two_inputs.pt");
  std::vector<float> weight(24, 0.0f);
  for (size_t c = 0; c < 3; ++c) weight[c * 3 + c] = 1.0f;  // token c speaks for class c
  ASSERT_TRUE(Set(runner.get(),
                  Checkpoint({MakeTensor("embedding.weight", DType::kFloat32, {8, 3}, weight)}))
                  .ok());
  const MemoryDataSet data(
      {MakeTensor("mask", DType::kFloat32, {2, 2}, std::vector<float>{1, 0, 0, 1}),
       MakeTensor("tokens", DType::kInt64, {2, 2}, std::vector<int64_t>{0, 1, 0, 1})},
      {0, 1});
  const auto bind = [](const std::string& input, const std::string& argument) {
    return InputBinding{.data_set_input = input, .argument = argument, .mean = {}, .std = {}};
  };
  for (const auto& inputs : std::vector<std::vector<InputBinding>>{
           {bind("mask", "attention_mask"), bind("tokens", "input_ids")},
           {bind("tokens", ""), bind("mask", "")},
           {bind("tokens", ""), bind("mask", "attention_mask")}}) {
    const auto found = Measure(runner.get(), data, 3, inputs);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_EQ(found->top1_correct, 2);
  }
  const struct {
    std::vector<InputBinding> inputs;
    std::string says;
  } refused[] = {
      {{}, "name in model.inputs"},
      {{bind("tokens", "")}, "'attention_mask'"},
      {{bind("tokens", "ids"), bind("mask", "attention_mask")}, "no argument 'ids'"},
      {{bind("words", "")}, "no input 'words'"},
      {{bind("tokens", ""), bind("mask", "input_ids")}, "bound twice"},
      {{bind("tokens", "input_ids"), bind("mask", "attention_mask"), bind("mask", "scale")},
       "scale"},
  };
  for (const auto& bad : refused) {
    const auto found = Measure(runner.get(), data, 3, bad.inputs);
    EXPECT_EQ(found.status().code(), absl::StatusCode::kInvalidArgument) << found.status();
    EXPECT_EQ(GetErrorFacts(found.status()).reason, "MODEL_INPUT_MISMATCH");
    EXPECT_THAT(std::string(found.status().message()), HasSubstr(bad.says));
  }
}

TEST_F(RunnerTest, ImagesAreScaledThenNormalisedInFloat32) {
  const auto runner = Load("image.pt");
  const std::vector<uint8_t> pixels = {51, 51, 51, 51, 102, 102, 102, 102, 255, 255, 255, 255};
  const MemoryDataSet data({MakeTensor("images", DType::kUint8, {1, 3, 2, 2}, pixels)}, {2});
  EXPECT_EQ(Measure(runner.get(), data)->margins[0], 1.0f - 102 / 255.0f) << "the default scales";
  InputBinding binding{.data_set_input = "images", .argument = "x", .mean = {}, .std = {}};
  EXPECT_EQ(Measure(runner.get(), data, 1, {binding})->margins[0], 153.0f) << "not scaled";
  binding.scale_to_unit = true;
  binding.mean = {0.5f, 0.25f, 0.125f};
  binding.std = {0.3f, 0.7f, 0.9f};
  const float largest_other = (102 / 255.0f - 0.25f) / 0.7f;
  EXPECT_EQ(Measure(runner.get(), data, 1, {binding})->margins[0],
            (1.0f - 0.125f) / 0.9f - largest_other);
  binding.mean = binding.std = {0.5f, 0.5f};
  EXPECT_EQ(GetErrorFacts(Measure(runner.get(), data, 1, {binding}).status()).reason,
            "MODEL_INPUT_MISMATCH");
}

TEST_F(RunnerTest, AModelThatWritesIntoItsInputHurtsNobody) {
  const auto runner = Load("writes_to_input.pt");
  ASSERT_TRUE(Set(runner.get(), Diagonal(1)).ok());
  const MemoryDataSet data = Units(5);
  const Measurement first = *Measure(runner.get(), data);
  ExpectSame(*Measure(runner.get(), data), first);
  EXPECT_EQ(first.margins[0], 2.0f);
}

TEST_F(RunnerTest, FailuresOfModelsAreShortAndHaveTheirReason) {
  const MemoryDataSet wide({MakeTensor("x", DType::kFloat32, {2, 5}, std::vector<float>(10, 0.0f))},
                           {0, 1});
  const MemoryDataSet far({MakeTensor("x", DType::kFloat32, {1, 4}, std::vector<float>(4, 1.0f))},
                          {7});
  const MemoryDataSet good = Units(3);
  const struct {
    std::string model;
    const DataSet& data;
    absl::StatusCode code;
    std::string reason, says;
  } cases[] = {
      {"throws.pt", good, absl::StatusCode::kInternal, "MODEL_FAILED", "refuses to run"},
      {"linear.pt", wide, absl::StatusCode::kInvalidArgument, "MODEL_INPUT_MISMATCH",
       "given x F32 [4, 5]"},
      {"image_output.pt", good, absl::StatusCode::kInvalidArgument, "MODEL_OUTPUT_MISMATCH",
       "[4, 3, 1]"},
      {"linear.pt", far, absl::StatusCode::kInvalidArgument, "LABEL_OUT_OF_RANGE", "7"},
  };
  for (const auto& failing : cases) {
    const auto runner = Load(failing.model);
    const auto found = Measure(runner.get(), failing.data);
    EXPECT_EQ(found.status().code(), failing.code) << found.status();
    EXPECT_EQ(GetErrorFacts(found.status()).reason, failing.reason);
    const std::string message(found.status().message());
    EXPECT_THAT(message, HasSubstr(failing.says));
    EXPECT_LT(message.size(), 800u) << message;
    EXPECT_THAT(message, testing::Not(HasSubstr("frame #")));
  }
}

// What the end-to-end tests of crashing workers stand on.
TEST_F(RunnerTest, TheCrashingModelCrashes) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  const MemoryDataSet data = Units(1);
  EXPECT_DEATH(Measure(Load("crash.pt").get(), data).status().IgnoreError(), "");
}

TEST_F(RunnerTest, NanWeightsGiveNoNumbers) {
  const auto runner = Load("linear.pt");
  ASSERT_TRUE(Set(runner.get(), Diagonal(1, std::nanf(""))).ok());
  EXPECT_EQ(GetErrorFacts(Measure(runner.get(), Units(2)).status()).reason, "NON_FINITE_OUTPUT");
}

TEST_F(RunnerTest, ProgressCanEndTheRun) {
  const auto runner = Load("linear.pt");
  ASSERT_TRUE(Set(runner.get(), Diagonal(1)).ok());
  std::vector<int64_t> seen;
  MeasureOptions options;
  options.batch_size = 2;
  options.progress = [&](int64_t done) {
    seen.push_back(done);
    return done < 4 ? absl::OkStatus() : absl::CancelledError("enough");
  };
  EXPECT_EQ(runner->Measure(Units(7), options).status().code(), absl::StatusCode::kCancelled);
  EXPECT_THAT(seen, testing::ElementsAre(2, 4));
}

TEST_F(RunnerTest, TiedTensorsComeUnderAnyOfTheirNames) {
  const auto runner = Load("tied.pt");
  EXPECT_THAT(runner->ties(), ElementsAre(ElementsAre("embed.weight", "head.weight")));
  EXPECT_THAT(Load("linear.pt")->ties(), ElementsAre());
  const auto tensor = [](const std::string& name, float scale) {
    std::vector<float> weight(12, 0.0f);
    for (size_t c = 0; c < 3; ++c) weight[c * 4 + c] = scale;
    return MakeTensor(name, DType::kFloat32, {3, 4}, weight);
  };
  const MemoryDataSet units = Units(6);
  std::optional<Measurement> first;
  for (const auto& tensors : std::vector<std::vector<MadeTensor>>{
           {tensor("embed.weight", 1)},
           {tensor("head.weight", 1)},
           {tensor("embed.weight", 1), tensor("head.weight", 1)}}) {
    ASSERT_TRUE(Set(runner.get(), Diagonal(0)).code() == absl::StatusCode::kInvalidArgument);
    const absl::Status set = Set(runner.get(), Checkpoint(tensors));
    ASSERT_TRUE(set.ok()) << set;
    const auto measured = Measure(runner.get(), units);
    ASSERT_TRUE(measured.ok()) << measured.status();
    if (!first.has_value()) first = *measured;
    ExpectSame(*measured, *first);
    EXPECT_EQ(measured->top1_correct, 6);
    ASSERT_TRUE(Set(runner.get(), Checkpoint({tensor("embed.weight", 0)})).ok());
  }
  const absl::Status differing =
      Set(runner.get(), Checkpoint({tensor("embed.weight", 1), tensor("head.weight", 2)}));
  EXPECT_EQ(GetErrorFacts(differing).reason, "CHECKPOINT_MISMATCH");
  EXPECT_THAT(differing.message(), HasSubstr("'head.weight' differs from 'embed.weight'"));
}

TEST_F(RunnerTest, WhatIsNoTorchScriptIsRefused) {
  EXPECT_EQ(Runner::Load(folder_ / "none.pt", "cpu").status().code(), absl::StatusCode::kNotFound);
  WriteSafetensors(folder_ / "weights.pt", TinySweep::Checkpoint(std::vector<float>(12), {3, 4}));
  const auto loaded = Runner::Load(folder_ / "weights.pt", "cpu");
  EXPECT_EQ(loaded.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(GetErrorFacts(loaded.status()).reason, "ARCHITECTURE_INVALID");
  EXPECT_THAT(std::string(loaded.status().message()), HasSubstr("torch.jit.save"));
}

TEST(ProbeDevice, KnowsItsNames) {
  EXPECT_EQ(ProbeDevice("tpu").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProbeDevice("cuda:x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProbeDevice("cuda:99").status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(ProbeDevice("auto").ok());
  EXPECT_TRUE(ProbeDevice("auto:3").ok());
  EXPECT_EQ(ProbeDevice("auto:x").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ProbeDevice("cpu")->kind, "cpu");
}

}  // namespace
}  // namespace stockpot
