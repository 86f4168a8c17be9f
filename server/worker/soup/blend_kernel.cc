#include "server/worker/soup/blend_kernel.h"

#include "server/worker/checkpoint/stored_float.h"

#define STOCKPOT_INLINED [[gnu::always_inline]] inline

namespace stockpot {
namespace {

template <typename Format>
STOCKPOT_INLINED void Add(const char* input, size_t count, std::optional<double> coefficient,
                          bool add, typename Format::Sum* sum) {
  using Sum = typename Format::Sum;
  const auto accumulate = [&](auto term) {
    const auto load = [&](size_t i) {
      return term(Format::Load(LoadAt<typename Format::Stored>(input, i)));
    };
    if (add) {
      for (size_t i = 0; i < count; ++i) sum[i] += load(i);
    } else {
      for (size_t i = 0; i < count; ++i) sum[i] = load(i);
    }
  };
  if (!coefficient.has_value()) return accumulate([](Sum weight) { return weight; });
  const auto factor = static_cast<Sum>(*coefficient);
  accumulate([factor](Sum weight) { return factor * weight; });
}

template <typename Sum>
STOCKPOT_INLINED void Store(Sum* sum, size_t count, size_t divisor, DType dtype, char* out) {
  if (divisor > 1) {
    const Sum scale = Sum{1} / static_cast<Sum>(divisor);
    for (size_t i = 0; i < count; ++i) sum[i] *= scale;
  }
  // BlendDType gives floating-point dtypes for floating-point tensors only.
  WithStoredFloat(dtype, [&](auto format) {
    for (size_t i = 0; i < count; ++i) StoreAt(out, i, decltype(format)::Store(sum[i]));
  });
}

// Inlined, with all that they call, into functions for each instruction set.
struct Baseline {
  template <typename Format, typename... Arguments>
  static void Add(Arguments... arguments) {
    stockpot::Add<Format>(arguments...);
  }
  template <typename... Arguments>
  static void Store(Arguments... arguments) {
    stockpot::Store(arguments...);
  }
};
#if defined(__x86_64__)
struct Avx2 {
  template <typename Format, typename... Arguments>
  [[gnu::target("avx2"), gnu::flatten]] static void Add(Arguments... arguments) {
    stockpot::Add<Format>(arguments...);
  }
  template <typename... Arguments>
  [[gnu::target("avx2"), gnu::flatten]] static void Store(Arguments... arguments) {
    stockpot::Store(arguments...);
  }
};
#endif

// Calls `use` with one of the above.
template <typename Use>
void WithInstructions(InstructionSet instructions, const Use& use) {
#if defined(__x86_64__)
  if (instructions == InstructionSet::kAvx2) return use(Avx2());
#endif
  use(Baseline());
}

}  // namespace

InstructionSet BestInstructionSet() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx2")) return InstructionSet::kAvx2;
#endif
  return InstructionSet::kBaseline;
}

size_t SumSize(DType stored) { return stored == DType::kFloat64 ? sizeof(double) : sizeof(float); }

void AddToSum(DType stored, const char* input, size_t count, std::optional<double> coefficient,
              bool add, char* sum, InstructionSet instructions) {
  WithInstructions(instructions, [&](auto set) {
    WithStoredFloat(stored, [&](auto format) {
      using Format = decltype(format);
      decltype(set)::template Add<Format>(input, count, coefficient, add,
                                          reinterpret_cast<typename Format::Sum*>(sum));
    });
  });
}

void StoreSum(DType stored, char* sum, size_t count, size_t divisor, DType out_dtype, char* out,
              InstructionSet instructions) {
  WithInstructions(instructions, [&](auto set) {
    WithStoredFloat(stored, [&](auto format) {
      using Sum = typename decltype(format)::Sum;
      decltype(set)::Store(reinterpret_cast<Sum*>(sum), count, divisor, out_dtype, out);
    });
  });
}

}  // namespace stockpot
