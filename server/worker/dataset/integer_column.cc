#include "server/worker/dataset/integer_column.h"

#include <cstring>

namespace stockpot {
namespace {

template <typename Integer>
bool Append(absl::string_view bytes, std::vector<int64_t>* numbers) {
  for (size_t at = 0; at + sizeof(Integer) <= bytes.size(); at += sizeof(Integer)) {
    Integer value;
    std::memcpy(&value, bytes.data() + at, sizeof(Integer));
    // NOLINTNEXTLINE(bugprone-signed-char-misuse): a number
    numbers->push_back(static_cast<int64_t>(value));
  }
  return true;
}

}  // namespace

bool AppendIntegers(DType dtype, absl::string_view bytes, std::vector<int64_t>* numbers) {
  switch (dtype) {
    case DType::kBool:
    case DType::kUint8:
      return Append<uint8_t>(bytes, numbers);
    case DType::kInt8:
      return Append<int8_t>(bytes, numbers);
    case DType::kUint16:
      return Append<uint16_t>(bytes, numbers);
    case DType::kInt16:
      return Append<int16_t>(bytes, numbers);
    case DType::kUint32:
      return Append<uint32_t>(bytes, numbers);
    case DType::kInt32:
      return Append<int32_t>(bytes, numbers);
    case DType::kUint64:
    case DType::kInt64:
      return Append<int64_t>(bytes, numbers);
    default:
      return false;
  }
}

}  // namespace stockpot
