#include "server/worker/evaluation/torch_dtype.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace stockpot {
namespace {

constexpr std::pair<DType, c10::ScalarType> kTypes[] = {
    {DType::kBool, c10::ScalarType::Bool},
    {DType::kUint8, c10::ScalarType::Byte},
    {DType::kInt8, c10::ScalarType::Char},
    {DType::kUint16, c10::ScalarType::UInt16},
    {DType::kInt16, c10::ScalarType::Short},
    {DType::kUint32, c10::ScalarType::UInt32},
    {DType::kInt32, c10::ScalarType::Int},
    {DType::kUint64, c10::ScalarType::UInt64},
    {DType::kInt64, c10::ScalarType::Long},
    {DType::kFloat8E4M3, c10::ScalarType::Float8_e4m3fn},
    {DType::kFloat8E5M2, c10::ScalarType::Float8_e5m2},
    {DType::kFloat16, c10::ScalarType::Half},
    {DType::kBFloat16, c10::ScalarType::BFloat16},
    {DType::kFloat32, c10::ScalarType::Float},
    {DType::kFloat64, c10::ScalarType::Double},
};

}  // namespace

c10::ScalarType ToScalarType(DType dtype) {
  for (const auto& [ours, theirs] : kTypes) {
    if (ours == dtype) return theirs;
  }
  return c10::ScalarType::Undefined;
}

std::optional<DType> FromScalarType(c10::ScalarType type) {
  for (const auto& [ours, theirs] : kTypes) {
    if (theirs == type) return ours;
  }
  return std::nullopt;
}

std::string TypeAndShape(DType dtype, absl::Span<const int64_t> shape) {
  return absl::StrCat(DTypeName(dtype), " [", absl::StrJoin(shape, ", "), "]");
}

}  // namespace stockpot
