// How floating-point elements lie in a tensor's bytes, by dtype. Internal to soup/.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_STORED_FLOAT_H_
#define STOCKPOT_SERVER_WORKER_SOUP_STORED_FLOAT_H_

#include <cstddef>
#include <cstring>

#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/soup/float_conversions.h"

namespace stockpot {

// Stored: the bits of an element. Sum: the type that sums of them are made in.
template <typename Number>
struct PlainFloat {
  using Stored = Number;
  using Sum = Number;
  static Sum Load(Stored stored) { return stored; }
};
template <typename Format>
struct NarrowFloat {
  using Stored = typename Format::Bits;
  using Sum = float;
  static Sum Load(Stored stored) { return Format::Decode(stored); }
};

template <typename Number>
Number LoadAt(const char* elements, size_t index) {
  Number number;
  std::memcpy(&number, elements + index * sizeof(Number), sizeof(Number));
  return number;
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

#endif  // STOCKPOT_SERVER_WORKER_SOUP_STORED_FLOAT_H_
