#include "server/worker/soup/blend_coefficients.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <memory>
#include <string>

#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

TEST(BlendCoefficients, AreNoneOneEachOrOneForEachTensor) {
  for (const size_t good : {0, 2, 6}) EXPECT_TRUE(CheckCoefficients(good, 2, 3).ok()) << good;
  for (const size_t bad : {1, 3, 4, 5, 7, 12}) {
    const absl::Status status = CheckCoefficients(bad, 2, 3);
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << bad;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("2 ingredients of 3 tensors"));
  }
  EXPECT_TRUE(CheckCoefficients(2, 2, 1).ok());
}

TEST(BlendCoefficients, AreIngredientByIngredient) {
  const std::vector<double> six = {1, 2, 3, 10, 20, 30};
  EXPECT_THAT(CoefficientsOfTensor(six, 2, 3, 0), ElementsAre(1, 10));
  EXPECT_THAT(CoefficientsOfTensor(six, 2, 3, 2), ElementsAre(3, 30));
  EXPECT_THAT(CoefficientsOfTensor({0.25, 0.75}, 2, 3, 2), ElementsAre(0.25, 0.75));
  EXPECT_THAT(CoefficientsOfTensor({0.25, 0.75}, 2, 1, 0), ElementsAre(0.25, 0.75));
  EXPECT_THAT(CoefficientsOfTensor({}, 2, 3, 1), ElementsAre());
}

std::shared_ptr<const StateDict> OneFloat(float number) {
  std::vector<char> bytes(sizeof(number));
  std::memcpy(bytes.data(), &number, sizeof(number));
  return MakeStateDict({{{"w", DType::kFloat32, {1}}, bytes}});
}

TEST(BlendTensor, TakesFixedTensorsAsTheyAre) {
  const TensorSelection from_base{{}, {"w"}, OneFloat(0.1f)};
  const std::vector<std::shared_ptr<const StateDict>> three = {
      SelectTensors(OneFloat(5), from_base), SelectTensors(OneFloat(6), from_base),
      SelectTensors(OneFloat(7), from_base)};
  const auto blend = [&](const std::vector<double>& coefficients, std::optional<DType> dtype) {
    std::vector<char> out(DTypeSize(dtype.value_or(DType::kFloat32)));
    EXPECT_TRUE(BlendTensor(three, coefficients, 0, dtype, absl::MakeSpan(out)).ok());
    return out;
  };
  const auto bits = [](auto number) {
    std::vector<char> bytes(sizeof(number));
    std::memcpy(bytes.data(), &number, sizeof(number));
    return bytes;
  };
  EXPECT_EQ(blend({}, std::nullopt), bits(0.1f));
  EXPECT_EQ(blend({1, 2, 3}, std::nullopt), bits(0.1f));
  EXPECT_EQ(blend({1, 2, 3}, DType::kBFloat16), bits(uint16_t{0x3DCD})) << "rounded all the same";
}

}  // namespace
}  // namespace stockpot
