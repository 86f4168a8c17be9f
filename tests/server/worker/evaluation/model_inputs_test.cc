#include "server/worker/evaluation/model_inputs.h"

#include <gtest/gtest.h>
#include <torch/script.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/server/worker/evaluation/memory_data_set.h"

namespace stockpot {
namespace {

constexpr int64_t kExampleCount = 6;
const std::vector<int64_t> kPicked = {4, 0, 5, 4};

MemoryDataSet DataOf(DType dtype, std::vector<int64_t> shape) {
  shape.insert(shape.begin(), kExampleCount);
  MadeTensor tensor{{"x", dtype, shape}, ""};
  tensor.bytes.resize(tensor.info.byte_count());
  for (size_t i = 0; i < tensor.bytes.size(); ++i) tensor.bytes[i] = static_cast<char>(i * 7 % 50);
  return MemoryDataSet({std::move(tensor)}, std::vector<int64_t>(kExampleCount, 0));
}

at::Tensor BatchOf(const DataSet& data, const std::vector<InputBinding>& bindings,
                   ResidentTensors* resident) {
  const auto module = torch::jit::load("tests/support/models/linear.pt");
  const auto inputs = ModelInputs::Create(module.get_method("forward").function().getSchema(), data,
                                          bindings, c10::kCPU, resident);
  EXPECT_TRUE(inputs.ok()) << inputs.status();
  return inputs->Batch(kPicked, 5).positional.at(0).toTensor();
}

// Of sizes that are and are not of eight bytes, and of every width of a number.
TEST(ModelInputs, WhatStaysOnTheDeviceGivesTheSameBatches) {
  const std::vector<std::pair<DType, std::vector<int64_t>>> cases = {
      {DType::kUint8, {3, 4, 2}}, {DType::kUint8, {3, 5, 5}}, {DType::kFloat32, {4}},
      {DType::kFloat32, {3}},     {DType::kInt64, {2, 3}},    {DType::kFloat16, {1, 3}},
      {DType::kBool, {7}},        {DType::kFloat8E4M3, {3}},  {DType::kFloat64, {}},
  };
  for (const auto& [dtype, shape] : cases) {
    const MemoryDataSet data = DataOf(dtype, shape);
    ResidentTensors resident(1 << 20);
    const at::Tensor expected = BatchOf(data, {}, nullptr);
    for (int round = 0; round < 2; ++round) {
      const at::Tensor found = BatchOf(data, {}, &resident);
      ASSERT_EQ(found.sizes(), expected.sizes()) << DTypeName(dtype);
      ASSERT_EQ(found.scalar_type(), expected.scalar_type());
      const at::Tensor a = found.contiguous(), b = expected.contiguous();
      EXPECT_EQ(std::memcmp(a.const_data_ptr(), b.const_data_ptr(), a.nbytes()), 0)
          << DTypeName(dtype) << " round " << round;
    }
  }
}

TEST(ModelInputs, BatchesAreTheCallersOwn) {
  const MemoryDataSet data = DataOf(DType::kFloat32, {4});
  ResidentTensors resident(1 << 20);
  const at::Tensor before = BatchOf(data, {}, &resident).clone();
  BatchOf(data, {}, &resident).zero_();
  EXPECT_TRUE(BatchOf(data, {}, &resident).equal(before));
}

TEST(ModelInputs, ImagesAreScaledAndNormalisedInThisOrder) {
  const MemoryDataSet data = DataOf(DType::kUint8, {3, 2, 2});
  const std::vector<InputBinding> bindings = {{.data_set_input = "x",
                                               .argument = "",
                                               .scale_to_unit = true,
                                               .mean = {0.5f, 0.25f, 0.1f},
                                               .std = {0.3f, 0.7f, 0.9f}}};
  ResidentTensors resident(1 << 20);
  const at::Tensor found = BatchOf(data, bindings, &resident);
  EXPECT_TRUE(found.equal(BatchOf(data, bindings, nullptr)));
  const auto byte = static_cast<float>(
      static_cast<unsigned char>(data.example(0, kPicked[2])[5]));  // of the second channel
  EXPECT_EQ(found[2].flatten()[5].item<float>(), (byte / 255 - 0.25f) / 0.7f);
}

}  // namespace
}  // namespace stockpot
