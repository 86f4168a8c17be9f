#include "server/base/precision.h"

namespace stockpot {

absl::string_view PrecisionName(Precision precision) {
  switch (precision) {
    case Precision::kTf32:
      return "TF32";
    case Precision::kBFloat16:
      return "BFLOAT16";
    case Precision::kFloat16:
      return "FLOAT16";
    case Precision::kFloat32:
      break;
  }
  return "FLOAT32";
}

}  // namespace stockpot
