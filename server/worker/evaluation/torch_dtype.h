// DType and LibTorch's element types. Internal to evaluation/. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DTYPE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DTYPE_H_

#include <c10/core/ScalarType.h>

#include <optional>
#include <string>

#include "absl/types/span.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

c10::ScalarType ToScalarType(DType dtype);

// Nothing for the types that no checkpoint holds (complex, quantised).
std::optional<DType> FromScalarType(c10::ScalarType type);

// "F32 [250, 3, 32, 32]", for messages.
std::string TypeAndShape(DType dtype, absl::Span<const int64_t> shape);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_DTYPE_H_
