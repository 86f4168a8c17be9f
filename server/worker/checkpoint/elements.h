// The elements of a floating-point tensor as float64, in blocks.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_ELEMENTS_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_ELEMENTS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Elements begin … begin + out.size() - 1 of a tensor's bytes, as StateDict::Read gives them.
void LoadElements(DType dtype, absl::Span<const char> bytes, size_t begin, absl::Span<double> out);

// The other way, one rounding: `bytes` has room for all of `elements`.
void StoreElements(absl::Span<const double> elements, DType dtype, char* bytes);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_ELEMENTS_H_
