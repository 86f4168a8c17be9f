#include "server/worker/checkpoint/checked_shape.h"

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/checkpoint_errors.h"

namespace stockpot {

absl::Status CheckShape(DType dtype, absl::Span<const int64_t> shape,
                        const CheckpointLimits& limits) {
  if (shape.size() > static_cast<size_t>(limits.max_dimensions)) {
    return InvalidCheckpoint(absl::StrCat("has ", shape.size(), " dimensions; at most ",
                                          limits.max_dimensions, " are read"));
  }
  auto bytes = static_cast<int64_t>(DTypeSize(dtype));
  for (int64_t size : shape) {
    if (size < 0) return InvalidCheckpoint(absl::StrCat("has a dimension of size ", size));
    if (size > 0 && __builtin_mul_overflow(bytes, size, &bytes)) {
      return InvalidCheckpoint("has a shape too large for any file");
    }
  }
  return absl::OkStatus();
}

}  // namespace stockpot
