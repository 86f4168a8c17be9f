#include "server/worker/soup/blend_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "server/worker/checkpoint/float_conversions.h"

namespace stockpot {
namespace {

using ::testing::HasSubstr;

// One tensor in memory.
class MemoryStateDict final : public StateDict {
 public:
  MemoryStateDict(DType dtype, std::vector<int64_t> shape, std::string elements)
      : tensors_{{"w", dtype, std::move(shape)}}, elements_(std::move(elements)) {}
  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  absl::StatusOr<absl::Span<const char>> Read(size_t, std::vector<char>* scratch) const override {
    scratch->assign(elements_.begin(), elements_.end());
    return absl::MakeConstSpan(*scratch);
  }
  absl::string_view format() const override { return "memory"; }
  const std::vector<std::string>& notes() const override { return notes_; }

 private:
  const std::vector<TensorInfo> tensors_;
  const std::string elements_;
  const std::vector<std::string> notes_;
};

using Ingredients = std::vector<std::shared_ptr<const StateDict>>;

template <typename Number>
std::string Bytes(const std::vector<Number>& numbers) {
  return {reinterpret_cast<const char*>(numbers.data()), numbers.size() * sizeof(Number)};
}

template <typename Number>
std::vector<Number> Numbers(const std::string& bytes) {
  std::vector<Number> numbers(bytes.size() / sizeof(Number));
  std::memcpy(numbers.data(), bytes.data(), bytes.size());
  return numbers;
}

template <typename Number>
std::shared_ptr<const StateDict> Model(DType dtype, const std::vector<Number>& numbers) {
  return std::make_shared<MemoryStateDict>(
      dtype, std::vector<int64_t>{static_cast<int64_t>(numbers.size())}, Bytes(numbers));
}

std::string BlendOf(const Ingredients& ingredients, const std::vector<double>& coefficients,
                    std::optional<DType> requested = std::nullopt) {
  const TensorInfo& info = ingredients[0]->tensors()[0];
  std::string out(
      static_cast<size_t>(info.element_count()) * DTypeSize(BlendDType(info.dtype, requested)),
      '?');
  const absl::Status status =
      BlendTensor(ingredients, coefficients, 0, requested, absl::MakeSpan(out.data(), out.size()));
  EXPECT_TRUE(status.ok()) << status;
  return out;
}

// Over several blocks, with a last one that is not full.
constexpr size_t kCount = 3 * 4096 + 5;

std::vector<std::vector<float>> RandomModels(size_t count) {
  std::mt19937 random(11);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> models(count, std::vector<float>(kCount));
  for (auto& model : models) {
    for (float& weight : model) weight = normal(random);
  }
  return models;
}

Ingredients FloatModels(const std::vector<std::vector<float>>& models) {
  Ingredients ingredients;
  for (const auto& model : models) ingredients.push_back(Model(DType::kFloat32, model));
  return ingredients;
}

TEST(BlendTensor, UniformIsARunningSumScaledOnce) {
  const auto models = RandomModels(3);
  std::vector<float> expected(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    volatile float sum = models[0][i];
    sum = sum + models[1][i];
    sum = sum + models[2][i];
    expected[i] = sum * (1.0F / 3.0F);
  }
  EXPECT_EQ(BlendOf(FloatModels(models), {}), Bytes(expected));
}

TEST(BlendTensor, CoefficientsRoundEachProductAndThenTheSum) {
  const auto models = RandomModels(3);
  const std::vector<double> c = {0.2, -0.7, 1.5};
  std::vector<float> expected(kCount);
  for (size_t i = 0; i < kCount; ++i) {
    volatile float sum = static_cast<float>(c[0]) * models[0][i];
    for (size_t k = 1; k < 3; ++k) {
      volatile float product = static_cast<float>(c[k]) * models[k][i];  // not fused with the sum
      sum = sum + product;
    }
    expected[i] = sum;
  }
  EXPECT_EQ(BlendOf(FloatModels(models), c), Bytes(expected));
}

TEST(BlendTensor, DoublesAreSummedInDouble) {
  const Ingredients models = {Model<double>(DType::kFloat64, {1.0, 0.1}),
                              Model<double>(DType::kFloat64, {0x1p-50, 0.2}),
                              Model<double>(DType::kFloat64, {0.0, 0.3})};
  EXPECT_EQ(Numbers<double>(BlendOf(models, {})),
            (std::vector<double>{(1.0 + 0x1p-50) * (1.0 / 3), (0.1 + 0.2 + 0.3) * (1.0 / 3)}));
  EXPECT_EQ(Numbers<double>(BlendOf(models, {1, 2, 3})),
            (std::vector<double>{1.0 + 0x1p-49, 0.1 + 0.4 + 3 * 0.3}));
}

TEST(BlendTensor, OneIngredientIsItselfBitForBit) {
  // Also NaNs with payloads, and what is no number that arithmetic would keep.
  for (DType dtype : {DType::kFloat16, DType::kBFloat16, DType::kFloat8E4M3, DType::kFloat8E5M2,
                      DType::kFloat32, DType::kFloat64}) {
    std::vector<uint16_t> every(1 << 16);
    for (size_t i = 0; i < every.size(); ++i) every[i] = static_cast<uint16_t>(i);
    const auto count = static_cast<int64_t>(every.size() * 2 / DTypeSize(dtype));
    const auto model =
        std::make_shared<MemoryStateDict>(dtype, std::vector<int64_t>{count}, Bytes(every));
    EXPECT_EQ(BlendOf({model}, {}), Bytes(every)) << DTypeName(dtype);
    EXPECT_EQ(BlendOf({model}, {1.0}), Bytes(every)) << DTypeName(dtype);
  }
}

TEST(BlendTensor, EqualIngredientsOfAPowerOfTwoGiveThemselves) {
  const auto models = RandomModels(1);
  EXPECT_EQ(BlendOf(FloatModels({models[0], models[0], models[0], models[0]}), {}),
            Bytes(models[0]));
}

TEST(BlendTensor, SmallFormatsAreSummedInFloatAndRoundedOnce) {
  const uint16_t one = Float16::Encode(1.0F), step = Float16::Encode(0x1p-11F);
  // In float16, 1 + 2^-11 would be 1 after each addition.
  const Ingredients models = {Model<uint16_t>(DType::kFloat16, {one}),
                              Model<uint16_t>(DType::kFloat16, {step}),
                              Model<uint16_t>(DType::kFloat16, {step})};
  EXPECT_EQ(Numbers<uint16_t>(BlendOf(models, {1, 1, 1}))[0], Float16::Encode(1.0F + 0x1p-10F));
  EXPECT_EQ(Numbers<float>(BlendOf(models, {1, 1, 0}, DType::kFloat32))[0], 1.0F + 0x1p-11F);

  const Ingredients brains = {Model<uint16_t>(DType::kBFloat16, {BFloat16::Encode(3.0F)}),
                              Model<uint16_t>(DType::kBFloat16, {BFloat16::Encode(5.0F)})};
  EXPECT_EQ(Numbers<uint16_t>(BlendOf(brains, {}))[0], BFloat16::Encode(4.0F));
  const Ingredients bytes = {Model<uint8_t>(DType::kFloat8E4M3, {Float8E4M3::Encode(3.0F)}),
                             Model<uint8_t>(DType::kFloat8E4M3, {Float8E4M3::Encode(5.0F)})};
  EXPECT_EQ(Numbers<uint8_t>(BlendOf(bytes, {}))[0], Float8E4M3::Encode(4.0F));
  const Ingredients others = {Model<uint8_t>(DType::kFloat8E5M2, {Float8E5M2::Encode(3.0F)}),
                              Model<uint8_t>(DType::kFloat8E5M2, {Float8E5M2::Encode(5.0F)})};
  EXPECT_EQ(Numbers<uint8_t>(BlendOf(others, {}))[0], Float8E5M2::Encode(4.0F));
}

TEST(BlendTensor, ConvertsToTheOutputDType) {
  const auto models = RandomModels(2);
  const std::vector<float> soup = Numbers<float>(BlendOf(FloatModels(models), {}));
  std::vector<uint16_t> halves, brains;
  std::vector<double> doubles;
  for (float weight : soup) {
    halves.push_back(Float16::Encode(weight));
    brains.push_back(BFloat16::Encode(weight));
    doubles.push_back(weight);
  }
  EXPECT_EQ(BlendOf(FloatModels(models), {}, DType::kFloat16), Bytes(halves));
  EXPECT_EQ(BlendOf(FloatModels(models), {}, DType::kBFloat16), Bytes(brains));
  EXPECT_EQ(BlendOf(FloatModels(models), {}, DType::kFloat64), Bytes(doubles));
}

TEST(BlendTensor, ADoubleIsRoundedOnceToAHalf) {
  // Just above the middle of two halves; by way of a float it would tie and fall.
  const double number = 1.0 + 0x1p-11 + 0x1p-40;
  const Ingredients models = {Model<double>(DType::kFloat64, {number})};
  EXPECT_EQ(Numbers<uint16_t>(BlendOf(models, {}, DType::kFloat16))[0],
            Float16::Encode(1.0F + 0x1p-10F));
}

TEST(BlendTensor, IntegersComeFromTheFirstIngredient) {
  const Ingredients models = {Model<int64_t>(DType::kInt64, {7, -1}),
                              Model<int64_t>(DType::kInt64, {100, 100})};
  EXPECT_EQ(Numbers<int64_t>(BlendOf(models, {})), (std::vector<int64_t>{7, -1}));
  EXPECT_EQ(Numbers<int64_t>(BlendOf(models, {0.0, 1.0}, DType::kFloat16)),
            (std::vector<int64_t>{7, -1}));
}

TEST(BlendTensor, AnEmptyTensorIsFine) {
  EXPECT_EQ(BlendOf({Model<float>(DType::kFloat32, {}), Model<float>(DType::kFloat32, {})}, {}),
            "");
}

TEST(BlendTensor, RefusesWhatDoesNotFit) {
  const Ingredients models = {Model<float>(DType::kFloat32, {1, 2})};
  std::string out(8, '\0');
  const absl::Span<char> room = absl::MakeSpan(out.data(), out.size());
  const auto says = [&](const Ingredients& ingredients, const std::vector<double>& coefficients,
                        std::optional<DType> requested, absl::Span<char> span) {
    const absl::Status status = BlendTensor(ingredients, coefficients, 0, requested, span);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument);
    return std::string(status.message());
  };
  EXPECT_THAT(says({}, {}, {}, room), HasSubstr("ingredient"));
  EXPECT_THAT(says(models, {1, 2}, {}, room), HasSubstr("2 coefficients for 1"));
  EXPECT_THAT(says(models, {}, {}, room.subspan(1)), HasSubstr("8 bytes, room for 7"));
  EXPECT_THAT(says(models, {}, DType::kFloat16, room), HasSubstr("4 bytes, room for 8"));
  EXPECT_THAT(says(models, {}, DType::kInt64, room), HasSubstr("not floating-point"));
  EXPECT_THAT(says({models[0], Model<float>(DType::kFloat32, {1})}, {}, {}, room),
              HasSubstr("differ"));
}

TEST(BlendDType, OnlyChangesFloatingPoint) {
  EXPECT_EQ(BlendDType(DType::kFloat32, DType::kFloat16), DType::kFloat16);
  EXPECT_EQ(BlendDType(DType::kFloat32, std::nullopt), DType::kFloat32);
  EXPECT_EQ(BlendDType(DType::kInt64, DType::kFloat16), DType::kInt64);
  EXPECT_EQ(BlendDType(DType::kBool, DType::kFloat16), DType::kBool);
}

}  // namespace
}  // namespace stockpot
