#include "server/worker/soup/blend_kernel.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <type_traits>

#include "server/worker/soup/float_conversions.h"
#include "server/worker/soup/stored_float.h"

// Inlined, with all that it calls, into one function for each instruction set.
#define STOCKPOT_INLINED [[gnu::always_inline]] inline

namespace stockpot {
namespace {

// Elements whose sum is made before the next ones are touched: the sum stays in the second-level
// cache, and each input is read in stretches long enough for the prefetcher.
constexpr size_t kBlockElements = 16384;

template <typename Number>
void StoreAt(char* elements, size_t index, Number number) {
  std::memcpy(elements + index * sizeof(Number), &number, sizeof(Number));
}

// `sum` as `dtype`, one rounding. A block is converted by a loop without branches.
template <typename Sum>
STOCKPOT_INLINED void StoreBlock(const Sum* sum, size_t count, DType dtype, char* out) {
  const auto store = [&](auto convert) {
    for (size_t i = 0; i < count; ++i) StoreAt(out, i, convert(sum[i]));
  };
  const auto narrow = [](Sum number) {
    if constexpr (std::is_same_v<Sum, double>) {
      return RoundToOdd(number);
    } else {
      return number;
    }
  };
  switch (dtype) {
    case DType::kFloat64:
      return store([](Sum number) { return static_cast<double>(number); });
    case DType::kFloat32:
      return store([](Sum number) { return static_cast<float>(number); });
    case DType::kFloat16:
      return store([&](Sum number) { return Float16::Encode(narrow(number)); });
    case DType::kBFloat16:
      return store([&](Sum number) { return BFloat16::Encode(narrow(number)); });
    case DType::kFloat8E5M2:
      return store([&](Sum number) { return Float8E5M2::Encode(narrow(number)); });
    case DType::kFloat8E4M3:
      return store([&](Sum number) { return Float8E4M3::Encode(narrow(number)); });
    default:
      return;  // BlendDType gives floating-point dtypes for floating-point tensors only
  }
}

template <typename Format>
STOCKPOT_INLINED void Blend(absl::Span<const char* const> inputs,
                            absl::Span<const double> coefficients, size_t element_count,
                            DType out_dtype, char* out) {
  using Sum = typename Format::Sum;
  using Stored = typename Format::Stored;
  std::array<Sum, kBlockElements> sum;
  for (size_t begin = 0; begin < element_count; begin += kBlockElements) {
    const size_t count = std::min(kBlockElements, element_count - begin);
    for (size_t k = 0; k < inputs.size(); ++k) {
      const char* input = inputs[k] + begin * sizeof(Stored);
      const auto accumulate = [&](auto term) {
        if (k == 0) {
          for (size_t i = 0; i < count; ++i) sum[i] = term(Format::Load(LoadAt<Stored>(input, i)));
        } else {
          for (size_t i = 0; i < count; ++i) sum[i] += term(Format::Load(LoadAt<Stored>(input, i)));
        }
      };
      if (coefficients.empty()) {
        accumulate([](Sum weight) { return weight; });
      } else {
        const auto coefficient = static_cast<Sum>(coefficients[k]);
        accumulate([coefficient](Sum weight) { return coefficient * weight; });
      }
    }
    if (coefficients.empty() && inputs.size() > 1) {
      const Sum scale = Sum{1} / static_cast<Sum>(inputs.size());
      for (size_t i = 0; i < count; ++i) sum[i] *= scale;
    }
    StoreBlock(sum.data(), count, out_dtype, out + begin * DTypeSize(out_dtype));
  }
}

template <typename Format>
void BlendBaseline(absl::Span<const char* const> inputs, absl::Span<const double> coefficients,
                   size_t count, DType out_dtype, char* out) {
  Blend<Format>(inputs, coefficients, count, out_dtype, out);
}

#if defined(__x86_64__)
template <typename Format>
[[gnu::target("avx2"), gnu::flatten]] void BlendAvx2(absl::Span<const char* const> inputs,
                                                     absl::Span<const double> coefficients,
                                                     size_t count, DType out_dtype, char* out) {
  Blend<Format>(inputs, coefficients, count, out_dtype, out);
}
#endif

}  // namespace

InstructionSet BestInstructionSet() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

void BlendElements(DType stored, absl::Span<const char* const> inputs,
                   absl::Span<const double> coefficients, size_t count, DType out_dtype, char* out,
                   InstructionSet instructions) {
  WithStoredFloat(stored, [&](auto format) {
    using Format = decltype(format);
#if defined(__x86_64__)
    if (instructions == InstructionSet::kAvx2) {
      return BlendAvx2<Format>(inputs, coefficients, count, out_dtype, out);
    }
#endif
    BlendBaseline<Format>(inputs, coefficients, count, out_dtype, out);
  });
}

}  // namespace stockpot
