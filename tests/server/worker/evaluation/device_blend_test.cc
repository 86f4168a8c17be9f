#include "server/worker/evaluation/device_blend.h"

#include <gtest/gtest.h>
#include <torch/torch.h>

#include <cstring>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "server/worker/evaluation/torch_device.h"
#include "server/worker/evaluation/torch_dtype.h"
#include "server/worker/soup/blend_coefficients.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {
namespace {

using Sweep = std::vector<std::shared_ptr<const StateDict>>;

constexpr size_t kMuch = 1 << 30;

// Finite numbers of many sizes, in the four dtypes that can be made; the last tensor is fixed.
class ModelInMemory final : public StateDict {
 public:
  explicit ModelInMemory(unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<double> normal;
    const DType dtypes[] = {DType::kFloat32, DType::kFloat64, DType::kBFloat16,
                            DType::kFloat16, DType::kFloat32, DType::kFloat32};
    for (const DType dtype : dtypes) {
      std::string name(1, static_cast<char>('a' + tensors_.size()));
      tensors_.push_back({std::move(name), dtype, {41, 7}});
      at::Tensor values = torch::empty({41, 7}, torch::kFloat64);
      for (int64_t i = 0; i < values.numel(); ++i) {
        values.view(-1)[i] = std::ldexp(normal(random), static_cast<int>(random() % 12) - 6);
      }
      values = values.to(ToScalarType(dtype)).contiguous();
      const auto* bytes = static_cast<const char*>(values.const_data_ptr());
      bytes_.emplace_back(bytes, bytes + values.nbytes());
    }
  }
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t index, std::vector<char>*) const override {
    ++reads;
    if (broken) return absl::DataLossError("broken");
    return absl::MakeConstSpan(bytes_[index]);
  }
  bool IsFixed(size_t index) const override { return index + 1 == tensors_.size(); }
  absl::string_view format() const override { return "memory"; }
  const std::vector<std::string>& notes() const override { return notes_; }

  mutable int reads = 0;
  bool broken = false;

 private:
  std::vector<TensorInfo> tensors_;
  std::vector<std::string> bytes_;
  std::vector<std::string> notes_;
};

// On the CPU, and on a card where there is one.
class DeviceBlendTest : public testing::TestWithParam<std::string> {
 protected:
  DeviceBlendTest() {
    for (unsigned seed = 0; seed < 6; ++seed) {
      made_.push_back(std::make_shared<ModelInMemory>(seed));
    }
  }

  void SetUp() override {
    const auto device = OpenTorchDevice(GetParam());
    if (!device.ok()) GTEST_SKIP() << device.status();
    device_ = *device;
    Keep(kMuch);
  }

  void Keep(size_t bytes) {
    blend_.reset();
    resident_ = std::make_unique<ResidentTensors>(bytes);
    blend_ = std::make_unique<DeviceBlend>(device_, resident_.get());
  }

  // Makes it, and that it has the bits of worker/soup. How many tensors were read for it.
  int Make(const std::vector<size_t>& which, const std::vector<double>& coefficients = {},
           std::optional<DType> dtype = std::nullopt) {
    const c10::InferenceMode inference;
    Sweep models;
    for (const size_t i : which) models.push_back(made_[i]);
    std::vector<DeviceBlend::Wanted> wanted;
    for (size_t t = 0; t < models[0]->tensors().size(); ++t) {
      const DType stored = models[0]->tensors()[t].dtype;
      const DType rounded = BlendDType(stored, dtype);
      if (!DeviceBlend::CanMake(stored, rounded)) continue;
      wanted.push_back(
          {t, rounded,
           torch::full({41, 7}, 77, torch::TensorOptions(ToScalarType(rounded)).device(device_))});
    }
    int reads = 0;
    for (const auto& model : made_) reads -= model->reads;
    EXPECT_TRUE(blend_->Write(models, coefficients, wanted).ok());
    for (const auto& model : made_) reads += model->reads;
    for (const DeviceBlend::Wanted& one : wanted) ExpectBits(models, coefficients, dtype, one);
    return reads;
  }

  static void ExpectBits(const Sweep& models, const std::vector<double>& coefficients,
                         std::optional<DType> dtype, const DeviceBlend::Wanted& one) {
    const at::Tensor found = one.target.cpu().contiguous();
    std::string expected(found.nbytes(), '?');
    const auto of_tensor =
        CoefficientsOfTensor(coefficients, models.size(), models[0]->tensors().size(), one.index);
    ASSERT_TRUE(BlendTensor(models, of_tensor, one.index, dtype,
                            absl::MakeSpan(expected.data(), expected.size()))
                    .ok());
    EXPECT_EQ(std::memcmp(found.const_data_ptr(), expected.data(), expected.size()), 0)
        << "tensor " << models[0]->tensors()[one.index].name << " of " << models.size();
  }

  std::vector<std::shared_ptr<ModelInMemory>> made_;
  c10::Device device_ = c10::kCPU;
  std::unique_ptr<ResidentTensors> resident_;
  std::unique_ptr<DeviceBlend> blend_;
};

TEST_P(DeviceBlendTest, HasTheBitsOfTheSoupsArithmetic) {
  for (const std::optional<DType> dtype :
       {std::optional<DType>(), std::optional(DType::kFloat32), std::optional(DType::kBFloat16),
        std::optional(DType::kFloat16)}) {
    for (const std::vector<size_t>& which : std::vector<std::vector<size_t>>{
             {3}, {0, 1}, {2, 1, 0}, {2, 1, 0, 5}, {2, 1, 0, 4}, {5, 4, 3, 2, 1, 0}}) {
      Make(which, {}, dtype);
    }
  }
}

TEST_P(DeviceBlendTest, CoefficientsAreOfAllTensorsOrOfEach) {
  Make({0}, {1.0});
  Make({0}, {0.3});
  Make({0, 1}, {1.0 / 3, 2.0 / 3});
  Make({4, 2, 5}, {0.1, -0.2, 1.1});
  std::vector<double> of_each;
  for (int i = 0; i < 3 * 6; ++i) of_each.push_back(0.01 * i * i - 0.7);
  Make({1, 3, 5}, of_each);
}

TEST_P(DeviceBlendTest, AnIngredientIsReadOnceWhileItFits) {
  EXPECT_EQ(Make({4, 2, 0}), 3 * 6);
  EXPECT_EQ(Make({4, 2, 1}), 6);
  EXPECT_EQ(Make({4, 2, 0, 1}), 0);
  EXPECT_EQ(Make({0}), 0);
  EXPECT_EQ(Make({0, 1}, {0.5, 0.5}), 0);
}

TEST_P(DeviceBlendTest, ACandidateReadsItselfAloneWhereNothingFits) {
  Keep(0);
  EXPECT_EQ(Make({4, 2, 0}), 3 * 5 + 1) << "of a tensor that is fixed the first one's alone";
  EXPECT_EQ(Make({4, 2, 1}), 5 + 1);
  EXPECT_EQ(Make({4, 2, 1, 3}), 2 * 5 + 1);
}

TEST_P(DeviceBlendTest, WhatFitsInPartIsRightToo) {
  size_t of_one = 0;
  for (const TensorInfo& tensor : made_[0]->tensors()) of_one += tensor.byte_count();
  Keep(2 * of_one);
  for (size_t last = 0; last < 4; ++last) Make({4, 5, last});
  for (size_t last = 0; last < 4; ++last) Make({last, 4, 5});
}

// Sums of a tensor that the blends before did not want would be of nothing.
TEST_P(DeviceBlendTest, OtherTensorsMayBeWantedOfTheSameIngredients) {
  Make({4, 2, 0}, {}, DType::kFloat16);  // not what is stored in float64
  Make({4, 2, 1});
  Make({4, 2, 1, 3}, {}, DType::kFloat16);
  Make({4, 2, 1, 3, 5});
}

TEST_P(DeviceBlendTest, AfterAnErrorNothingIsSummed) {
  Keep(0);
  Make({4, 2, 0});
  made_[1]->broken = true;
  const Sweep models = {made_[4], made_[2], made_[0], made_[1]};
  at::Tensor target = torch::empty({41, 7}, torch::TensorOptions().device(device_));
  const DeviceBlend::Wanted wanted[] = {{0, DType::kFloat32, target}};
  EXPECT_EQ(blend_->Write(models, {}, wanted).code(), absl::StatusCode::kDataLoss);
  made_[1]->broken = false;
  EXPECT_EQ(Make({4, 2, 0, 1}), 4 * 5 + 1);
}

INSTANTIATE_TEST_SUITE_P(Devices, DeviceBlendTest, testing::Values("cpu", "cuda"));

TEST(DeviceBlend, LeavesToMemoryWhatLibTorchRoundsOtherwise) {
  EXPECT_TRUE(DeviceBlend::CanMake(DType::kFloat16, DType::kBFloat16));
  EXPECT_TRUE(DeviceBlend::CanMake(DType::kFloat64, DType::kFloat32));
  EXPECT_FALSE(DeviceBlend::CanMake(DType::kFloat64, DType::kFloat16)) << "by way of float32";
  EXPECT_FALSE(DeviceBlend::CanMake(DType::kFloat8E4M3, DType::kFloat32));
  EXPECT_FALSE(DeviceBlend::CanMake(DType::kInt64, DType::kInt64));
}

}  // namespace
}  // namespace stockpot
