// What every file format shares: element types and the sizes of tensors.
#include <algorithm>
#include <cstring>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {
namespace {

struct DTypeRow {
  DType dtype;
  absl::string_view name;
  size_t size;
  bool floating_point;
};

// In the order of the enumeration.
constexpr DTypeRow kDTypes[] = {
    {DType::kBool, "BOOL", 1, false},         {DType::kUint8, "U8", 1, false},
    {DType::kInt8, "I8", 1, false},           {DType::kUint16, "U16", 2, false},
    {DType::kInt16, "I16", 2, false},         {DType::kUint32, "U32", 4, false},
    {DType::kInt32, "I32", 4, false},         {DType::kUint64, "U64", 8, false},
    {DType::kInt64, "I64", 8, false},         {DType::kFloat8E4M3, "F8_E4M3", 1, true},
    {DType::kFloat8E5M2, "F8_E5M2", 1, true}, {DType::kFloat16, "F16", 2, true},
    {DType::kBFloat16, "BF16", 2, true},      {DType::kFloat32, "F32", 4, true},
    {DType::kFloat64, "F64", 8, true},
};

const DTypeRow& RowOfDType(DType dtype) { return kDTypes[static_cast<size_t>(dtype)]; }

}  // namespace

size_t DTypeSize(DType dtype) { return RowOfDType(dtype).size; }

absl::string_view DTypeName(DType dtype) { return RowOfDType(dtype).name; }

bool IsFloatingPoint(DType dtype) { return RowOfDType(dtype).floating_point; }

absl::StatusOr<DType> ParseDType(absl::string_view safetensors_name) {
  for (const DTypeRow& row : kDTypes) {
    if (row.name == safetensors_name) return row.dtype;
  }
  return InvalidCheckpoint(absl::StrCat("unknown dtype ", Quote(safetensors_name)));
}

int64_t TensorInfo::element_count() const {
  int64_t count = 1;
  for (int64_t size : shape) count *= size;
  return count;
}

size_t TensorInfo::byte_count() const {
  return static_cast<size_t>(element_count()) * DTypeSize(dtype);
}

absl::Status StateDict::Copy(size_t index, size_t offset, absl::Span<char> out) const {
  std::vector<char> scratch;
  ASSIGN_OR_RETURN(const absl::Span<const char> elements, Read(index, &scratch));
  if (!out.empty()) std::memcpy(out.data(), elements.data() + offset, out.size());
  return absl::OkStatus();
}

std::optional<size_t> FindTensor(const std::vector<TensorInfo>& tensors, absl::string_view name) {
  const auto found = std::lower_bound(
      tensors.begin(), tensors.end(), name,
      [](const TensorInfo& info, absl::string_view wanted) { return info.name < wanted; });
  if (found == tensors.end() || found->name != name) return std::nullopt;
  return static_cast<size_t>(found - tensors.begin());
}

}  // namespace stockpot
