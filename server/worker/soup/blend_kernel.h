// The loops that average: spans in, spans out. Internal to soup/; the formula is blend_weights.h's.
//
// The same source is compiled for each instruction set, without fused multiply-adds, and every
// operation in it is exact or rounds as IEEE 754 says: the bits are the same whichever runs.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_
#define STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_

#include <cstddef>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

enum class InstructionSet { kBaseline, kAvx2 };

// The widest one that this machine has.
InstructionSet BestInstructionSet();

// Writes `count` elements of a blend as `out_dtype` (floating-point). inputs[k] are ingredient k's
// elements, of dtype `stored` (floating-point); no alignment is asked for. `coefficients`: one for
// each ingredient, or none for the uniform blend. `instructions` must be there.
void BlendElements(DType stored, absl::Span<const char* const> inputs,
                   absl::Span<const double> coefficients, size_t count, DType out_dtype, char* out,
                   InstructionSet instructions);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_BLEND_KERNEL_H_
