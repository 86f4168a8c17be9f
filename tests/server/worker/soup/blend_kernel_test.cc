#include "server/worker/soup/blend_kernel.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "server/worker/checkpoint/stored_float.h"

namespace stockpot {
namespace {

constexpr DType kFloats[] = {DType::kFloat64,  DType::kFloat32,    DType::kFloat16,
                             DType::kBFloat16, DType::kFloat8E5M2, DType::kFloat8E4M3};

// Any bits: subnormal, infinite and no numbers too.
std::string RandomBits(size_t size, unsigned seed) {
  std::mt19937 random(seed);
  std::string bits(size, '\0');
  for (char& byte : bits) byte = static_cast<char>(random());
  return bits;
}

// Which bits a NaN has is the one thing that the order of an addition's operands decides.
std::string WithOneNaN(DType dtype, std::string elements) {
  WithStoredFloat(dtype, [&](auto format) {
    using Stored = typename decltype(format)::Stored;
    for (size_t i = 0; i < elements.size() / sizeof(Stored); ++i) {
      if (!std::isnan(decltype(format)::Load(LoadAt<Stored>(elements.data(), i)))) continue;
      std::memset(elements.data() + i * sizeof(Stored), 0x7F, sizeof(Stored));
    }
  });
  return elements;
}

struct Blend {
  DType stored, made;
  bool uniform;
  size_t count;
};

std::string Make(const Blend& blend, InstructionSet instructions) {
  constexpr size_t kIngredients = 3;
  std::vector<double> sum(blend.count + 1);
  auto* const sum_bytes = reinterpret_cast<char*>(sum.data());
  for (unsigned k = 0; k < kIngredients; ++k) {
    // One byte further than any alignment.
    const std::string input = RandomBits(1 + blend.count * DTypeSize(blend.stored), k);
    const auto coefficient = blend.uniform ? std::nullopt : std::optional<double>(0.3 * k - 0.2);
    AddToSum(blend.stored, input.data() + 1, blend.count, coefficient, k > 0, sum_bytes,
             instructions);
  }
  std::string out(blend.count * DTypeSize(blend.made), '?');
  StoreSum(blend.stored, sum_bytes, blend.count, blend.uniform ? kIngredients : 1, blend.made,
           out.data(), instructions);
  return WithOneNaN(blend.made, out);
}

TEST(BlendKernel, EveryInstructionSetGivesTheSameBits) {
  if (BestInstructionSet() == InstructionSet::kBaseline) GTEST_SKIP() << "there is but one here";
  for (const DType stored : kFloats) {
    for (const DType made : kFloats) {
      for (const bool uniform : {true, false}) {
        for (const size_t count : {size_t{1}, size_t{7}, size_t{31}, size_t{20003}}) {
          const Blend blend = {stored, made, uniform, count};
          EXPECT_EQ(Make(blend, InstructionSet::kBaseline), Make(blend, BestInstructionSet()))
              << DTypeName(stored) << " " << DTypeName(made) << " " << uniform << " " << count;
        }
      }
    }
  }
}

}  // namespace
}  // namespace stockpot
