// Numbers of every floating-point dtype to and from the types sums are made in: float, and double
// for F64. Exact going up; round to nearest, ties to even, going down — once, also from double.
// What is too large becomes infinity (F8_E4M3 has none: NaN), as torch converts.
//
// The loops that use these are meant to be vectorised: no branches, no tables.
// Source: IEEE 754-2008; OCP 8-bit Floating Point Specification 1.0 (E4M3, E5M2).
// Thread safety: the functions are thread-safe. They rely on the default rounding mode and on
// subnormals not being flushed to zero.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_FLOAT_CONVERSIONS_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_FLOAT_CONVERSIONS_H_

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>

namespace stockpot {

// A floating-point format of at most 16 bits: sign, exponent, mantissa from the highest bit down.
template <typename BitsType, int kExponentBits, int kMantissaBits, bool kInfinityExists>
struct SmallFloat {
  using Bits = BitsType;
  static constexpr int kWidth = 1 + kExponentBits + kMantissaBits;
  static constexpr int kBias = (1 << (kExponentBits - 1)) - 1;
  static constexpr int kShift = 23 - kMantissaBits;  // from a float's mantissa
  static constexpr uint32_t kInfinity = ((1u << kExponentBits) - 1) << kMantissaBits;
  static constexpr uint32_t kAllOnes = (1u << (kWidth - 1)) - 1;
  // The quiet NaN torch writes; where there is no infinity, the only one.
  static constexpr uint32_t kNaN =
      kInfinityExists ? kInfinity | (1u << (kMantissaBits - 1)) : kAllOnes;
  static constexpr uint32_t kOverflow = kInfinityExists ? kInfinity : kAllOnes;
  // The float whose last bit is worth the format's smallest number: adding it rounds to that.
  static constexpr int kSubnormalExponent = 1 - kBias - kMantissaBits + 23;

  static float Decode(Bits bits) {
    const uint32_t sign = static_cast<uint32_t>(bits >> (kWidth - 1)) << 31;
    const uint32_t magnitude = bits & kAllOnes;
    // A subnormal, or any number of a format as wide in exponent as float, is a plain shift or a
    // product with a power of two; both are exact.
    uint32_t wide;
    if constexpr (kExponentBits == 8) {
      wide = magnitude << kShift;
    } else {
      const float scale = std::bit_cast<float>(static_cast<uint32_t>(127 + 127 - kBias) << 23);
      const uint32_t scaled =
          std::bit_cast<uint32_t>(std::bit_cast<float>(magnitude << kShift) * scale);
      const bool special = kInfinityExists ? magnitude >= kInfinity : magnitude == kAllOnes;
      const uint32_t special_bits = (magnitude << kShift) | 0x7F800000u;
      wide = special ? special_bits : scaled;
    }
    return std::bit_cast<float>(wide | sign);
  }

  static Bits Encode(float number) {
    const uint32_t bits = std::bit_cast<uint32_t>(number);
    const uint32_t magnitude = bits & 0x7FFFFFFFu;
    const uint32_t sign = bits >> 31 << (kWidth - 1);
    // Adding half of the last kept bit, less one unless that bit is odd, rounds ties to even; a
    // carry into the exponent is right.
    const uint32_t half = (1u << (kShift - 1)) - 1 + ((magnitude >> kShift) & 1);
    const uint32_t rebased = magnitude + half - (static_cast<uint32_t>(127 - kBias) << 23);
    uint32_t rounded = rebased >> kShift;
    if constexpr (kExponentBits < 8) {
      constexpr uint32_t kSmallestNormal = static_cast<uint32_t>(127 + 1 - kBias) << 23;
      constexpr uint32_t kMagic = static_cast<uint32_t>(127 + kSubnormalExponent) << 23;
      const float shifted = std::bit_cast<float>(magnitude) + std::bit_cast<float>(kMagic);
      const uint32_t subnormal = std::bit_cast<uint32_t>(shifted) - kMagic;
      rounded = magnitude < kSmallestNormal ? subnormal : rounded;
    }
    rounded = rounded > kOverflow ? kOverflow : rounded;
    rounded = magnitude > 0x7F800000u ? kNaN : rounded;
    return static_cast<Bits>(rounded | sign);
  }
};

using Float16 = SmallFloat<uint16_t, 5, 10, true>;
using BFloat16 = SmallFloat<uint16_t, 8, 7, true>;
using Float8E5M2 = SmallFloat<uint8_t, 5, 2, true>;
using Float8E4M3 = SmallFloat<uint8_t, 4, 3, false>;

// A float from which a narrower format rounds as it would from the double itself: truncated, with
// the last bit set when anything was lost (round to odd).
inline float RoundToOdd(double number) {
  const auto nearest = static_cast<float>(number);
  if (std::isnan(number) || static_cast<double>(nearest) == number) return nearest;
  auto bits = std::bit_cast<uint32_t>(nearest);
  if (std::abs(static_cast<double>(nearest)) > std::abs(number)) --bits;
  return std::bit_cast<float>(bits | 1);
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_FLOAT_CONVERSIONS_H_
