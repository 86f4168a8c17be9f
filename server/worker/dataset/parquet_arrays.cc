#include "server/worker/dataset/parquet_arrays.h"

#include <arrow/extension_type.h>
#include <arrow/type.h>

#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr int kMaxListDepth = 4;

absl::Status BadRow(int64_t row, absl::string_view message) {
  return WithReason(
      absl::InvalidArgumentError(absl::StrCat("row ", row, " of its row group ", message)),
      "DATA_SET_INVALID");
}

std::optional<DType> NumberType(arrow::Type::type id) {
  switch (id) {
    case arrow::Type::BOOL:
      return DType::kBool;
    case arrow::Type::UINT8:
      return DType::kUint8;
    case arrow::Type::INT8:
      return DType::kInt8;
    case arrow::Type::UINT16:
      return DType::kUint16;
    case arrow::Type::INT16:
      return DType::kInt16;
    case arrow::Type::UINT32:
      return DType::kUint32;
    case arrow::Type::INT32:
      return DType::kInt32;
    case arrow::Type::UINT64:
      return DType::kUint64;
    case arrow::Type::INT64:
      return DType::kInt64;
    case arrow::Type::HALF_FLOAT:
      return DType::kFloat16;
    case arrow::Type::FLOAT:
      return DType::kFloat32;
    case arrow::Type::DOUBLE:
      return DType::kFloat64;
    default:
      return std::nullopt;
  }
}

bool IsList(arrow::Type::type id) {
  return id == arrow::Type::LIST || id == arrow::Type::LARGE_LIST ||
         id == arrow::Type::FIXED_SIZE_LIST;
}

bool IsBytes(arrow::Type::type id) {
  return id == arrow::Type::BINARY || id == arrow::Type::LARGE_BINARY;
}

bool IsText(arrow::Type::type id) {
  return id == arrow::Type::STRING || id == arrow::Type::LARGE_STRING;
}

// What an extension type, as datasets' Array2D, is stored as.
const arrow::DataType& StoredType(const arrow::DataType& type) {
  if (type.id() != arrow::Type::EXTENSION) return type;
  return *static_cast<const arrow::ExtensionType&>(type).storage_type();
}

std::shared_ptr<arrow::Array> StoredArray(std::shared_ptr<arrow::Array> array) {
  if (array->type_id() != arrow::Type::EXTENSION) return array;
  return static_cast<const arrow::ExtensionArray&>(*array).storage();
}

template <typename Array>
void AppendViews(const arrow::Array& array, std::vector<absl::string_view>* rows) {
  const auto& typed = static_cast<const Array&>(array);
  for (int64_t i = 0; i < typed.length(); ++i) {
    const std::string_view value = typed.GetView(i);
    rows->emplace_back(value.data(), value.size());
  }
}

// Without nulls: those are looked for before.
absl::Status AppendValues(const arrow::Array& array, std::vector<absl::string_view>* rows) {
  switch (array.type_id()) {
    case arrow::Type::STRING:
    case arrow::Type::BINARY:
      AppendViews<arrow::BinaryArray>(array, rows);
      return absl::OkStatus();
    case arrow::Type::LARGE_STRING:
    case arrow::Type::LARGE_BINARY:
      AppendViews<arrow::LargeBinaryArray>(array, rows);
      return absl::OkStatus();
    case arrow::Type::DICTIONARY: {
      const auto& dictionary = static_cast<const arrow::DictionaryArray&>(array);
      std::vector<absl::string_view> words;
      RETURN_IF_ERROR(AppendValues(*dictionary.dictionary(), &words));
      for (int64_t i = 0; i < array.length(); ++i) {
        rows->push_back(words.at(static_cast<size_t>(dictionary.GetValueIndex(i))));
      }
      return absl::OkStatus();
    }
    default:
      return WithReason(absl::InvalidArgumentError("a column of a type that is not read"),
                        "DATA_SET_INVALID");
  }
}

absl::Status CheckNoNulls(const arrow::Array& array, int64_t rows_before) {
  if (array.null_count() == 0) return absl::OkStatus();
  int64_t row = 0;
  while (row < array.length() && array.IsValid(row)) ++row;
  return BadRow(rows_before + row, "has no value");
}

// The elements of the lists of `array`, whose lengths are added to `lengths`.
template <typename ListArray>
absl::StatusOr<std::shared_ptr<arrow::Array>> FlattenRows(const arrow::Array& array,
                                                          int64_t rows_before,
                                                          std::vector<int64_t>* lengths) {
  const auto& lists = static_cast<const ListArray&>(array);
  for (int64_t i = 0; i < lists.length(); ++i) {
    lengths->push_back(static_cast<int64_t>(lists.value_length(i)));
    if (lengths->back() == 0) return BadRow(rows_before + i, "is an empty list");
  }
  const auto begin = static_cast<int64_t>(lists.value_offset(0));
  const auto end = static_cast<int64_t>(lists.value_offset(lists.length()));
  return lists.values()->Slice(begin, end - begin);
}

// The elements of the lists of `array`, which must have one length; that goes into `shape`.
template <typename ListArray>
absl::StatusOr<std::shared_ptr<arrow::Array>> Flatten(const arrow::Array& array, size_t depth,
                                                      bool any_before,
                                                      std::vector<int64_t>* shape) {
  const auto& lists = static_cast<const ListArray&>(array);
  for (int64_t i = 0; i < lists.length(); ++i) {
    const auto length = static_cast<int64_t>(lists.value_length(i));
    if (i == 0 && !any_before) shape->push_back(length);
    if (length == (*shape)[depth]) continue;
    return WithReason(absl::InvalidArgumentError(
                          absl::StrCat("lists in lists have ", length, " and ", (*shape)[depth],
                                       " elements: only the outermost may differ in length")),
                      "DATA_SET_INVALID");
  }
  if (lists.length() == 0) return lists.values()->Slice(0, 0);
  const auto begin = static_cast<int64_t>(lists.value_offset(0));
  return lists.values()->Slice(begin, lists.length() * (*shape)[depth]);
}

absl::Status AppendElements(const arrow::Array& array, DType dtype, std::string* bytes) {
  if (dtype == DType::kBool) {
    const auto& flags = static_cast<const arrow::BooleanArray&>(array);
    for (int64_t i = 0; i < flags.length(); ++i) bytes->push_back(flags.Value(i) ? 1 : 0);
    return absl::OkStatus();
  }
  const size_t size = DTypeSize(dtype);
  const auto& data = *array.data();
  if (array.length() == 0) return absl::OkStatus();
  bytes->append(reinterpret_cast<const char*>(data.buffers[1]->data()) +
                    static_cast<size_t>(data.offset) * size,
                static_cast<size_t>(array.length()) * size);
  return absl::OkStatus();
}

absl::Status AppendNumbers(std::shared_ptr<arrow::Array> array, int64_t rows_before,
                           ParquetFile::Numbers* numbers) {
  const bool any_before = rows_before > 0;
  for (size_t depth = 0;; ++depth) {
    const bool rows = depth == 0;
    array = StoredArray(std::move(array));
    RETURN_IF_ERROR(CheckNoNulls(*array, depth == 0 ? rows_before : 0));
    absl::StatusOr<std::shared_ptr<arrow::Array>> elements = nullptr;
    const arrow::Type::type type = array->type_id();
    if (rows && !any_before && (type == arrow::Type::LIST || type == arrow::Type::LARGE_LIST)) {
      numbers->shape.push_back(kAnyLength);
    }
    switch (type) {
      case arrow::Type::LIST:
        elements = rows ? FlattenRows<arrow::ListArray>(*array, rows_before, &numbers->lengths)
                        : Flatten<arrow::ListArray>(*array, depth, any_before, &numbers->shape);
        break;
      case arrow::Type::LARGE_LIST:
        elements = rows
                       ? FlattenRows<arrow::LargeListArray>(*array, rows_before, &numbers->lengths)
                       : Flatten<arrow::LargeListArray>(*array, depth, any_before, &numbers->shape);
        break;
      case arrow::Type::FIXED_SIZE_LIST:
        elements = Flatten<arrow::FixedSizeListArray>(*array, depth, any_before, &numbers->shape);
        break;
      default: {
        const std::optional<DType> dtype = NumberType(array->type_id());
        if (!dtype.has_value()) return absl::InternalError("a column of no numbers");
        return AppendElements(*array, *dtype, &numbers->bytes);
      }
    }
    RETURN_IF_ERROR(elements.status());
    array = *std::move(elements);
  }
}

}  // namespace

absl::Status FromArrow(const arrow::Status& status) {
  if (status.ok()) return absl::OkStatus();
  return WithReason(absl::InvalidArgumentError(status.IsOutOfMemory()
                                                   ? "it takes more memory than a row group may"
                                                   : status.message()),
                    "DATA_SET_INVALID");
}

ParquetColumn DescribeColumn(const std::string& name, const arrow::DataType& type) {
  ParquetColumn column{name, ParquetColumn::Kind::kOther, DType::kUint8};
  const arrow::DataType* inner = &StoredType(type);
  if (inner->id() == arrow::Type::STRUCT) {
    const auto bytes = static_cast<const arrow::StructType&>(*inner).GetFieldByName(kBytesField);
    if (bytes != nullptr && IsBytes(bytes->type()->id())) column.kind = ParquetColumn::Kind::kBytes;
    return column;
  }
  const bool words = inner->id() == arrow::Type::DICTIONARY &&
                     IsText(static_cast<const arrow::DictionaryType&>(*inner).value_type()->id());
  if (IsBytes(inner->id())) column.kind = ParquetColumn::Kind::kBytes;
  if (IsText(inner->id()) || words) column.kind = ParquetColumn::Kind::kText;
  int depth = 0;
  while (IsList(inner->id()) && depth++ < kMaxListDepth) {
    inner = &StoredType(*inner->field(0)->type());
  }
  const std::optional<DType> dtype = NumberType(inner->id());
  if (dtype.has_value()) {
    column.kind = ParquetColumn::Kind::kNumbers;
    column.dtype = *dtype;
  }
  return column;
}

absl::StatusOr<ParquetFile::Values> ToValues(const arrow::ChunkedArray& column) {
  ParquetFile::Values values;
  for (std::shared_ptr<arrow::Array> chunk : column.chunks()) {
    RETURN_IF_ERROR(FromArrow(chunk->ValidateFull()));
    const auto before = static_cast<int64_t>(values.rows.size());
    chunk = StoredArray(std::move(chunk));
    RETURN_IF_ERROR(CheckNoNulls(*chunk, before));
    if (chunk->type_id() == arrow::Type::STRUCT) {
      // Only its bytes were read.
      chunk = static_cast<const arrow::StructArray&>(*chunk).GetFieldByName(kBytesField);
      if (chunk == nullptr) return absl::InternalError("an image without bytes was read");
      const absl::Status nulls = CheckNoNulls(*chunk, before);
      if (!nulls.ok()) {
        return Annotate(nulls, "the image is not in the file (embed it before it is written)");
      }
    }
    RETURN_IF_ERROR(AppendValues(*chunk, &values.rows));
  }
  return values;
}

absl::StatusOr<ParquetFile::Numbers> ToNumbers(const arrow::ChunkedArray& column) {
  ParquetFile::Numbers numbers;
  int64_t rows = 0;
  for (const std::shared_ptr<arrow::Array>& chunk : column.chunks()) {
    if (chunk->length() == 0) continue;
    RETURN_IF_ERROR(FromArrow(chunk->ValidateFull()));
    RETURN_IF_ERROR(AppendNumbers(chunk, rows, &numbers));
    rows += chunk->length();
  }
  return numbers;
}

}  // namespace stockpot
