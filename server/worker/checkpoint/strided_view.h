// A dense tensor as torch stores it: some elements of a storage, walked with a stride per
// dimension. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_STRIDED_VIEW_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_STRIDED_VIEW_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace stockpot {

struct StridedView {
  std::vector<int64_t> shape;
  std::vector<int64_t> strides;  // in elements, one per dimension
  int64_t offset = 0;            // in elements
  size_t element_size = 1;       // 1, 2, 4 or 8 bytes
};

// Whether the elements lie one after the other in row-major order.
bool IsContiguous(const StridedView& view);

// INVALID_ARGUMENT unless every element lies in a storage of `storage_size` bytes. The shape was
// checked by CheckShape.
absl::Status CheckInside(const StridedView& view, uint64_t storage_size);

// Writes the elements in row-major order. `out` has exactly their bytes; CheckInside held.
void CopyRowMajor(const StridedView& view, absl::string_view storage, absl::Span<char> out);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_STRIDED_VIEW_H_
