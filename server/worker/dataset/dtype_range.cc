#include "server/worker/dataset/dtype_range.h"

#include <cmath>
#include <cstdint>
#include <limits>

namespace stockpot {
namespace {

template <typename Integer>
bool IsIn(double value) {
  return value == std::floor(value) &&
         value >= static_cast<double>(std::numeric_limits<Integer>::min()) &&
         value <= static_cast<double>(std::numeric_limits<Integer>::max());
}

}  // namespace

bool CanHold(DType dtype, double value) {
  switch (dtype) {
    case DType::kBool:
      return value == 0 || value == 1;
    case DType::kUint8:
      return IsIn<uint8_t>(value);
    case DType::kInt8:
      return IsIn<int8_t>(value);
    case DType::kUint16:
      return IsIn<uint16_t>(value);
    case DType::kInt16:
      return IsIn<int16_t>(value);
    case DType::kUint32:
    case DType::kUint64:
      return IsIn<uint32_t>(value);  // what every double can say exactly
    case DType::kInt32:
    case DType::kInt64:
      return IsIn<int32_t>(value);
    default:
      return std::isfinite(value);
  }
}

}  // namespace stockpot
