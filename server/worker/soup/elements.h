// The elements of a floating-point tensor as float64, in blocks. Internal to soup/.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_ELEMENTS_H_
#define STOCKPOT_SERVER_WORKER_SOUP_ELEMENTS_H_

#include <cstddef>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Elements begin … begin + out.size() - 1 of a tensor's bytes, as StateDict::Read gives them.
void LoadElements(DType dtype, absl::Span<const char> bytes, size_t begin, absl::Span<double> out);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_ELEMENTS_H_
