// How floating-point elements lie in a tensor's bytes, by dtype.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STORED_FLOAT_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STORED_FLOAT_H_

#include <cstddef>
#include <cstring>

#include "server/worker/checkpoint/float_conversions.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Stored: the bits of an element. Sum: the type that sums of them are made in. Load() is exact;
// Store() takes a float or a double and rounds once.
template <typename Number>
struct PlainFloat {
  using Stored = Number;
  using Sum = Number;
  static Sum Load(Stored stored) { return stored; }
  template <typename Wide>
  static Stored Store(Wide number) {
    return static_cast<Stored>(number);
  }
};
template <typename Format>
struct NarrowFloat {
  using Stored = typename Format::Bits;
  using Sum = float;
  static Sum Load(Stored stored) { return Format::Decode(stored); }
  static Stored Store(float number) { return Format::Encode(number); }
  static Stored Store(double number) { return Format::Encode(RoundToOdd(number)); }
};

template <typename Number>
Number LoadAt(const char* elements, size_t index) {
  Number number;
  std::memcpy(&number, elements + index * sizeof(Number), sizeof(Number));
  return number;
}

template <typename Number>
void StoreAt(char* elements, size_t index, Number number) {
  std::memcpy(elements + index * sizeof(Number), &number, sizeof(Number));
}

// Calls `use` with one of the above, for a floating-point dtype; else not at all.
template <typename Use>
void WithStoredFloat(DType dtype, const Use& use) {
  switch (dtype) {
    case DType::kFloat64:
      return use(PlainFloat<double>());
    case DType::kFloat32:
      return use(PlainFloat<float>());
    case DType::kFloat16:
      return use(NarrowFloat<Float16>());
    case DType::kBFloat16:
      return use(NarrowFloat<BFloat16>());
    case DType::kFloat8E5M2:
      return use(NarrowFloat<Float8E5M2>());
    case DType::kFloat8E4M3:
      return use(NarrowFloat<Float8E4M3>());
    default:
      return;
  }
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STORED_FLOAT_H_
