#include "server/worker/checkpoint/torch_storage_types.h"

namespace stockpot {
namespace {

struct TypeRow {
  absl::string_view dtype_name;
  absl::string_view storage_type;  // empty: saved as UntypedStorage only
  DType dtype;
};

constexpr TypeRow kTypes[] = {
    {"float32", "FloatStorage", DType::kFloat32},
    {"float64", "DoubleStorage", DType::kFloat64},
    {"float16", "HalfStorage", DType::kFloat16},
    {"bfloat16", "BFloat16Storage", DType::kBFloat16},
    {"float8_e4m3fn", "", DType::kFloat8E4M3},
    {"float8_e5m2", "", DType::kFloat8E5M2},
    {"int64", "LongStorage", DType::kInt64},
    {"int32", "IntStorage", DType::kInt32},
    {"int16", "ShortStorage", DType::kInt16},
    {"int8", "CharStorage", DType::kInt8},
    {"uint8", "ByteStorage", DType::kUint8},
    {"uint16", "", DType::kUint16},
    {"uint32", "", DType::kUint32},
    {"uint64", "", DType::kUint64},
    {"bool", "BoolStorage", DType::kBool},
    {"", "UntypedStorage", DType::kUint8},
};

// Every dtype has a row, before the one of UntypedStorage.
const TypeRow& TypeRowOf(DType dtype) {
  const TypeRow* row = kTypes;
  while (row->dtype != dtype) ++row;
  return *row;
}

}  // namespace

std::optional<DType> DTypeOfTorchStorage(absl::string_view storage_type) {
  for (const TypeRow& row : kTypes) {
    if (!row.storage_type.empty() && row.storage_type == storage_type) return row.dtype;
  }
  return std::nullopt;
}

std::optional<DType> DTypeOfTorchName(absl::string_view dtype_name) {
  for (const TypeRow& row : kTypes) {
    if (!row.dtype_name.empty() && row.dtype_name == dtype_name) return row.dtype;
  }
  return std::nullopt;
}

absl::string_view TorchStorageOfDType(DType dtype) { return TypeRowOf(dtype).storage_type; }

absl::string_view TorchNameOfDType(DType dtype) { return TypeRowOf(dtype).dtype_name; }

}  // namespace stockpot
