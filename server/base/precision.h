// In which numbers a model runs. Weights, soups and scores are not touched by it: only what
// happens inside forward().
//
// Source: NVIDIA's TF32 rounds what goes into products of float32 to 10 bits of mantissa; the
// 16-bit ones are LibTorch's autocast, which casts for the operators that it holds safe.
// Thread safety: plain data.
#ifndef STOCKPOT_SERVER_BASE_PRECISION_H_
#define STOCKPOT_SERVER_BASE_PRECISION_H_

#include "absl/strings/string_view.h"

namespace stockpot {

enum class Precision { kFloat32, kTf32, kBFloat16, kFloat16 };

// As the proto's enumerators: "FLOAT32", "TF32", "BFLOAT16", "FLOAT16".
absl::string_view PrecisionName(Precision precision);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_PRECISION_H_
