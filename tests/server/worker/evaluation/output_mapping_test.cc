#include "server/worker/evaluation/output_mapping.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cmath>
#include <string>
#include <vector>

#include "server/base/status.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

std::vector<float> Values(const at::Tensor& tensor) {
  const at::Tensor flat = tensor.detach().contiguous();
  return {flat.const_data_ptr<float>(), flat.const_data_ptr<float>() + flat.numel()};
}

std::vector<float> Map(const at::Tensor& outputs, const OutputOptions& options) {
  const auto mapping = OutputMapping::Create(options, torch::kCPU);
  EXPECT_TRUE(mapping.ok()) << mapping.status();
  const auto logits = ToLogits(outputs, *mapping);
  EXPECT_TRUE(logits.ok()) << logits.status();
  return Values(*logits);
}

// weight [2, 3] and bias [2], as stored in `folder`.
LinearClassifier Head(const TemporaryFolder& folder) {
  WriteSafetensors(
      folder / "head.safetensors",
      {MakeTensor("bias", DType::kFloat32, {2}, std::vector<float>{10, 20}),
       MakeTensor("weight", DType::kFloat64, {2, 3}, std::vector<double>{1, 0, 2, 0, 1, -1})});
  LinearClassifier head;
  head.tensors = *OpenCheckpoint(folder / "head.safetensors", {});
  head.weight = 1;
  return head;
}

TEST(OutputMapping, WithoutOptionsOnlyConverts) {
  const at::Tensor outputs = torch::tensor({{1.0, 2.0}}, torch::kFloat64);
  EXPECT_THAT(Map(outputs, {}), ElementsAre(1, 2));
  EXPECT_THAT(Map(torch::tensor({5.0f, 6.0f}), {}), ElementsAre(5, 6));
}

TEST(OutputMapping, TakesTheSubsetInItsOrder) {
  const at::Tensor outputs = torch::tensor({{1.0f, 2.0f, 3.0f}, {4.0f, 5.0f, 6.0f}});
  OutputOptions options;
  options.class_subset = {2, 0};
  EXPECT_THAT(Map(outputs, options), ElementsAre(3, 1, 6, 4));
  EXPECT_THAT(Map(outputs.unsqueeze(0), options), ElementsAre(3, 1, 6, 4)) << "of tokens";
}

TEST(OutputMapping, AppliesTheClassifier) {
  const TemporaryFolder folder;
  OutputOptions options;
  options.classifier = Head(folder);
  const at::Tensor features = torch::tensor({{1.0f, 2.0f, 3.0f}});
  EXPECT_THAT(Map(features, options), ElementsAre(7, -1));
  options.classifier->bias = 0;
  EXPECT_THAT(Map(features, options), ElementsAre(17, 19));
  options.classifier->scale = 3;
  EXPECT_THAT(Map(features, options), ElementsAre(31, 17)) << "the bias is not scaled";
  options.classifier->normalize_features = true;
  EXPECT_THAT(Map(torch::tensor({{0.0f, 3.0f, 4.0f}}), options),
              ElementsAre(testing::FloatEq(10 + 3 * 1.6f), testing::FloatEq(20 + 3 * -0.2f)));
  options.class_subset = {1};
  EXPECT_THAT(Map(features * 0 + 1, options), ElementsAre(testing::FloatNear(20, 1e-5f)))
      << "of the classifier's logits";
}

TEST(OutputMapping, CanBeDifferentiated) {
  const TemporaryFolder folder;
  OutputOptions options;
  options.classifier = Head(folder);
  options.classifier->scale = 2;
  options.class_subset = {1};
  const at::Tensor features = torch::tensor({{1.0f, 2.0f, 3.0f}}).requires_grad_();
  ToLogits(features, *OutputMapping::Create(options, torch::kCPU))->sum().backward();
  EXPECT_THAT(Values(features.grad()), ElementsAre(0, 2, -2));
}

TEST(OutputMapping, SubsetsThatAreNoneAreRefused) {
  const struct {
    std::vector<int32_t> subset;
    std::string says;
  } cases[] = {{{0, -1}, "class_subset[1] is -1"}, {{3, 1, 3}, "class_subset[2] is 3"}};
  for (const auto& bad : cases) {
    OutputOptions options;
    options.class_subset = bad.subset;
    const absl::Status status = OutputMapping::Create(options, torch::kCPU).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID");
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(bad.says));
  }
}

TEST(OutputMapping, OutputsThatDoNotFitAreRefused) {
  const TemporaryFolder folder;
  OutputOptions subset, head;
  subset.class_subset = {0, 3};
  head.classifier = Head(folder);
  const struct {
    const OutputOptions& options;
    at::Tensor outputs;
    std::string says;
  } cases[] = {{subset, torch::zeros({2, 3}), "names logit 3"},
               {subset, torch::zeros({}), "names logit 3"},
               {head, torch::zeros({2, 4}), "takes 3 features"},
               {head, torch::zeros({}), "takes 3 features"}};
  for (const auto& bad : cases) {
    const auto mapping = OutputMapping::Create(bad.options, torch::kCPU);
    const absl::Status status = ToLogits(bad.outputs, *mapping).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "MODEL_OUTPUT_MISMATCH") << status;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(bad.says));
  }
}

}  // namespace
}  // namespace stockpot
