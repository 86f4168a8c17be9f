// Every number of every small format, and every boundary between two neighbours, against tables
// worked out slowly from the definition of the format.
#include "server/worker/checkpoint/float_conversions.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

namespace stockpot {
namespace {

// Source: IEEE 754-2008 section 3.4, in doubles. NaN and infinity as the format has them.
double SlowDecode(uint32_t code, int exponent_bits, int mantissa_bits, bool has_infinity) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const bool negative = ((code >> (exponent_bits + mantissa_bits)) & 1) != 0;
  const int exponent = static_cast<int>(code >> mantissa_bits) & ((1 << exponent_bits) - 1);
  const int mantissa = static_cast<int>(code) & ((1 << mantissa_bits) - 1);
  const bool top = exponent == (1 << exponent_bits) - 1;
  double magnitude;
  if (has_infinity && top) {
    magnitude = mantissa == 0 ? INFINITY : NAN;
  } else if (!has_infinity && top && mantissa == (1 << mantissa_bits) - 1) {
    magnitude = NAN;
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, 1 - bias - mantissa_bits);
  } else {
    magnitude = std::ldexp((1 << mantissa_bits) + mantissa, exponent - bias - mantissa_bits);
  }
  return negative ? -magnitude : magnitude;
}

struct Layout {
  int exponent_bits, mantissa_bits;
  bool has_infinity;
};
template <typename Format>
Layout LayoutOf();
template <>
Layout LayoutOf<Float16>() {
  return {5, 10, true};
}
template <>
Layout LayoutOf<BFloat16>() {
  return {8, 7, true};
}
template <>
Layout LayoutOf<Float8E5M2>() {
  return {5, 2, true};
}
template <>
Layout LayoutOf<Float8E4M3>() {
  return {4, 3, false};
}

template <typename Format>
class SmallFloatTest : public ::testing::Test {
 protected:
  static constexpr uint32_t kSignBit = 1u << (Format::kWidth - 1);
  static double Slow(uint32_t code) {
    const Layout layout = LayoutOf<Format>();
    return SlowDecode(code, layout.exponent_bits, layout.mantissa_bits, layout.has_infinity);
  }
  static uint32_t Encode(double number) { return Format::Encode(RoundToOdd(number)); }
};
using Formats = ::testing::Types<Float16, BFloat16, Float8E5M2, Float8E4M3>;
TYPED_TEST_SUITE(SmallFloatTest, Formats);

TYPED_TEST(SmallFloatTest, DecodesEveryNumberExactly) {
  for (uint32_t code = 0; code < 1u << TypeParam::kWidth; ++code) {
    const double expected = this->Slow(code);
    const double decoded = TypeParam::Decode(static_cast<typename TypeParam::Bits>(code));
    if (std::isnan(expected)) {
      ASSERT_TRUE(std::isnan(decoded)) << code;
    } else {
      ASSERT_EQ(decoded, expected) << code;
      ASSERT_EQ(std::signbit(decoded), std::signbit(expected)) << code;
      ASSERT_EQ(TypeParam::Encode(static_cast<float>(expected)), code);
    }
  }
}

// Between neighbours a and b: up to the middle goes to a, beyond it to b, the middle to the even
// one — for the nearest floats around the middle, and for doubles nearer than any float.
TYPED_TEST(SmallFloatTest, RoundsToNearestTiesToEven) {
  for (uint32_t code = 0; code + 1 < this->kSignBit; ++code) {
    const double below = this->Slow(code);
    double above = this->Slow(code + 1);
    if (std::isnan(below) || std::isinf(below)) break;
    if (std::isnan(above) && TypeParam::kInfinity != TypeParam::kOverflow)
      above = 2 * below - this->Slow(code - 1);
    if (std::isinf(above)) above = 2 * below - this->Slow(code - 1);
    const double middle = below + (above - below) / 2;
    const uint32_t even = (code & 1) == 0 ? code : code + 1;
    for (uint32_t sign : {0u, this->kSignBit}) {
      const double s = sign == 0 ? 1 : -1;
      ASSERT_EQ(this->Encode(s * middle), even | sign) << code;
      ASSERT_EQ(this->Encode(s * std::nextafter(middle, 0.0)), code | sign) << code;
      ASSERT_EQ(this->Encode(s * std::nextafter(middle, INFINITY)), (code + 1) | sign) << code;
      const auto f = static_cast<float>(middle);
      if (static_cast<double>(f) != middle) continue;  // beyond the largest float
      ASSERT_EQ(TypeParam::Encode(s * f), even | sign) << code;
      ASSERT_EQ(TypeParam::Encode(s * std::nextafterf(f, 0.0F)), code | sign) << code;
      ASSERT_EQ(TypeParam::Encode(s * std::nextafterf(f, INFINITY)), (code + 1) | sign) << code;
    }
  }
}

TYPED_TEST(SmallFloatTest, KeepsNaNAndOverflows) {
  const auto nan = TypeParam::Encode(std::numeric_limits<float>::quiet_NaN());
  EXPECT_TRUE(std::isnan(TypeParam::Decode(nan)));
  EXPECT_EQ(nan, TypeParam::kNaN);
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(TypeParam::Encode(infinity), TypeParam::kOverflow);
  EXPECT_EQ(this->Encode(1e300), TypeParam::kOverflow);
  EXPECT_EQ(TypeParam::Encode(-infinity), TypeParam::kOverflow | this->kSignBit);
  EXPECT_EQ(TypeParam::Encode(std::numeric_limits<float>::denorm_min()), 0);
}

TEST(RoundToOdd, KeepsWhatAFloatHolds) {
  for (double number : {0.0, -0.0, 1.0, -1.5, 0x1p-149, 0x1.fffffep127}) {
    EXPECT_EQ(static_cast<double>(RoundToOdd(number)), number);
  }
  EXPECT_TRUE(std::isnan(RoundToOdd(NAN)));
  EXPECT_EQ(RoundToOdd(INFINITY), INFINITY);
  EXPECT_EQ(RoundToOdd(1e300), 0x1.fffffep127F);  // the largest float: odd, and not infinity
}

}  // namespace
}  // namespace stockpot
