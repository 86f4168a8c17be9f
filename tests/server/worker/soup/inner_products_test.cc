#include "server/worker/soup/inner_products.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <random>
#include <string>

#include "server/worker/checkpoint/float_conversions.h"
#include "server/worker/checkpoint/tensor_selection.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

template <typename Number>
TensorValue Tensor(const std::string& name, DType dtype, const std::vector<Number>& numbers) {
  const auto* bytes = reinterpret_cast<const char*>(numbers.data());
  return {{name, dtype, {static_cast<int64_t>(numbers.size())}},
          {bytes, bytes + numbers.size() * sizeof(Number)}};
}

// Over several blocks, with a last one that is neither full nor a multiple of the lanes.
constexpr size_t kNumbers = 2 * 4096 + 21;

std::vector<float> Random(unsigned seed) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> numbers(kNumbers);
  for (float& number : numbers) number = normal(random);
  return numbers;
}

TEST(InnerProduct, CoversEveryElementOfEveryDType) {
  const std::vector<float> gradient = Random(1);
  std::vector<float> weights = Random(2);
  for (float& weight : weights) weight = BFloat16::Decode(BFloat16::Encode(weight));
  double expected = 0;
  for (size_t i = 0; i < kNumbers; ++i) expected += double{weights[i]} * double{gradient[i]};
  std::vector<uint16_t> halves;
  for (const float weight : weights) halves.push_back(BFloat16::Encode(weight));
  const std::vector<double> doubles(weights.begin(), weights.end());
  for (const auto& tensor :
       {Tensor("w", DType::kFloat32, weights), Tensor("w", DType::kBFloat16, halves),
        Tensor("w", DType::kFloat64, doubles)}) {
    const auto found = InnerProduct(*MakeStateDict({tensor}), 0, gradient);
    ASSERT_TRUE(found.ok()) << found.status();
    EXPECT_NEAR(*found, expected, 1e-10);
  }
}

TEST(InnerProductsOfMoves, AreThoseOfHand) {
  const auto model = [](std::vector<float> a, std::vector<double> b) {
    return MakeStateDict({Tensor("a", DType::kFloat32, a), Tensor("b", DType::kFloat64, b),
                          Tensor("steps", DType::kInt64, std::vector<int64_t>{9})});
  };
  const auto base = model({1, 1}, {1});
  const std::vector<std::shared_ptr<const StateDict>> three = {
      model({2, 1}, {3}), model({1, 0}, {1.5}), model({1, 1}, {1})};
  const auto found = InnerProductsOfMoves(three, *base, Unwatched);
  ASSERT_TRUE(found.ok()) << found.status();
  // Moves (1, 0, 2), (0, -1, 0.5), (0, 0, 0).
  EXPECT_THAT(*found, ElementsAre(5, 1, 0, 1, 1.25, 0, 0, 0, 0));
}

TEST(InnerProductsOfMoves, AreSumsOverBlocks) {
  const std::vector<std::vector<float>> weights = {Random(1), Random(2), Random(3)};
  std::vector<std::shared_ptr<const StateDict>> models;
  for (const auto& model : weights) {
    models.push_back(MakeStateDict({Tensor("w", DType::kFloat32, model)}));
  }
  const auto found = InnerProductsOfMoves(models, *models[2], Unwatched);
  ASSERT_TRUE(found.ok()) << found.status();
  for (size_t a = 0; a < 3; ++a) {
    for (size_t b = 0; b < 3; ++b) {
      double expected = 0;
      for (size_t i = 0; i < kNumbers; ++i) {
        expected += (double{weights[a][i]} - double{weights[2][i]}) *
                    (double{weights[b][i]} - double{weights[2][i]});
      }
      EXPECT_NEAR((*found)[a * 3 + b], expected, 1e-9);
      EXPECT_EQ((*found)[a * 3 + b], (*found)[b * 3 + a]);
    }
  }
}

TEST(InnerProductsOfMoves, ProgressCountsTensorsAndCanCancel) {
  const auto model = MakeStateDict({Tensor("a", DType::kFloat32, Random(1)),
                                    Tensor("b", DType::kFloat32, std::vector<float>{1})});
  std::vector<int64_t> seen;
  const auto watch = [&](int64_t done, int64_t total) {
    EXPECT_EQ(total, 2);
    seen.push_back(done);
    return absl::OkStatus();
  };
  ASSERT_TRUE(InnerProductsOfMoves({{model}}, *model, watch).ok());
  EXPECT_THAT(seen, ElementsAre(0, 0, 0, 1, 2)) << "within a tensor too, block by block";
  for (const int64_t last : {0, 1, 2}) {
    const auto cancelled = InnerProductsOfMoves({{model}}, *model, [last](int64_t done, int64_t) {
      return done == last ? absl::CancelledError("enough") : absl::OkStatus();
    });
    EXPECT_EQ(cancelled.status().code(), absl::StatusCode::kCancelled);
  }
}

}  // namespace
}  // namespace stockpot
