// The loops that average: spans in, spans out. Internal to soup/; the formula is blend_weights.h's.
//
// The same source is compiled for each instruction set, without fused multiply-adds, and every
// operation in it is exact or rounds as IEEE 754 says: the bits are the same whichever runs.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_
#define STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_

#include <cstddef>
#include <optional>

#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

enum class InstructionSet { kBaseline, kAvx2 };

// The widest one that this machine has.
InstructionSet BestInstructionSet();

// Bytes of an element of a sum of elements of dtype `stored`: 8 of F64, else 4.
size_t SumSize(DType stored);

// sum[i] = c * input[i], or with `add` sum[i] += c * input[i]; without a coefficient, input[i]
// itself. `input` has `count` elements of the floating-point dtype `stored`, of any alignment;
// `sum` is aligned to SumSize(stored). `instructions` must be there.
void AddToSum(DType stored, const char* input, size_t count, std::optional<double> coefficient,
              bool add, char* sum, InstructionSet instructions);

// Writes the sum divided by `divisor` (by multiplication with its inverse; 1: as it is) as the
// floating-point dtype `out_dtype`, one rounding. `sum` is changed.
void StoreSum(DType stored, char* sum, size_t count, size_t divisor, DType out_dtype, char* out,
              InstructionSet instructions);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_
