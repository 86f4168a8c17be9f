#include "server/worker/dataset/parquet_file.h"

#include <arrow/io/file.h>
#include <arrow/memory_pool.h>
#include <arrow/table.h>
#include <arrow/util/key_value_metadata.h>
#include <parquet/arrow/reader.h>
#include <parquet/arrow/schema.h>
#include <parquet/file_reader.h>
#include <parquet/metadata.h>

#include <algorithm>
#include <exception>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/known_content.h"
#include "server/base/status.h"
#include "server/worker/dataset/parquet_arrays.h"

namespace stockpot {
namespace {

constexpr int kMaxFooterText = 16 << 20;
constexpr int kMaxFooterList = 1'000'000;  // columns, row groups

absl::Status InvalidParquet(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "DATA_SET_INVALID");
}

// Parquet's lower layer throws.
template <typename Function>
auto GuardParquet(const Function& function) -> decltype(function()) {
  try {
    return function();
  } catch (const std::bad_alloc&) {
    throw;  // for OpenDataSet, which knows it
  } catch (const std::exception& error) {
    return InvalidParquet(error.what());
  }
}

// The leaf columns of a field, for an image those of its bytes alone.
void AddLeaves(const parquet::arrow::SchemaField& field, std::vector<int>* leaves) {
  if (field.is_leaf()) leaves->push_back(field.column_index);
  for (const parquet::arrow::SchemaField& child : field.children) AddLeaves(child, leaves);
}

std::vector<int> LeavesOf(const parquet::arrow::SchemaField& field, const ParquetColumn& column) {
  std::vector<int> leaves;
  for (const parquet::arrow::SchemaField& child : field.children) {
    const bool is_image = column.kind == ParquetColumn::Kind::kBytes;
    if (is_image && child.field->name() == kBytesField) AddLeaves(child, &leaves);
  }
  if (leaves.empty()) AddLeaves(field, &leaves);
  return leaves;
}

class ArrowParquetFile final : public ParquetFile {
 public:
  explicit ArrowParquetFile(const DataSetLimits& limits)
      : limits_(limits),
        pool_(std::make_shared<arrow::CappedMemoryPool>(
            arrow::default_memory_pool(), static_cast<int64_t>(2 * limits.max_row_group_bytes))) {}

  absl::Status Read(const std::string& path) {
    auto file = arrow::io::ReadableFile::Open(path, pool_.get());
    if (!file.ok()) {
      if (!file.status().IsIOError() || !absl::StrContains(file.status().message(), "No such")) {
        return FromArrow(file.status());
      }
      return WithReason(absl::NotFoundError("no such file"), "DATA_SET_NOT_FOUND");
    }
    parquet::ReaderProperties properties(pool_.get());
    properties.set_thrift_string_size_limit(kMaxFooterText);
    properties.set_thrift_container_size_limit(kMaxFooterList);
    parquet::arrow::FileReaderBuilder builder;
    const absl::Status opened = FromArrow(builder.Open(*file, properties));
    if (!opened.ok()) return OrKnownContent(opened, file->get());
    builder.memory_pool(pool_.get());
    // Arrow's threads that read ahead would give memory back to the pool when it is gone.
    parquet::ArrowReaderProperties arrow_properties;
    arrow_properties.set_pre_buffer(false);
    arrow_properties.set_use_threads(false);
    builder.properties(arrow_properties);
    RETURN_IF_ERROR(FromArrow(builder.Build(&reader_)));
    return Describe(*reader_->parquet_reader()->metadata());
  }

  const std::vector<ParquetColumn>& columns() const override { return columns_; }
  const std::vector<int64_t>& group_rows() const override { return group_rows_; }
  const std::string& huggingface() const override { return huggingface_; }

  absl::StatusOr<Values> ReadValues(size_t group, size_t column) const override {
    return GuardParquet([&]() -> absl::StatusOr<Values> {
      ASSIGN_OR_RETURN(std::shared_ptr<arrow::ChunkedArray> array, ReadColumn(group, column));
      ASSIGN_OR_RETURN(Values values, ToValues(*array));
      if (static_cast<int64_t>(values.rows.size()) != group_rows_[group]) return WrongCount();
      // The memory goes back to the pool, which must be there still.
      values.owner = std::shared_ptr<const void>(
          array.get(), [array, pool = pool_](auto*) mutable { array.reset(); });
      return values;
    });
  }

  absl::StatusOr<Numbers> ReadNumbers(size_t group, size_t column) const override {
    return GuardParquet([&]() -> absl::StatusOr<Numbers> {
      ASSIGN_OR_RETURN(const auto array, ReadColumn(group, column));
      if (array->length() != group_rows_[group]) return WrongCount();
      return ToNumbers(*array);
    });
  }

 private:
  // What Arrow says of a file that is none is of little use.
  static absl::Status OrKnownContent(const absl::Status& status, arrow::io::ReadableFile* file) {
    constexpr int64_t kLookBytes = 100;
    const auto begin = file->ReadAt(0, kLookBytes);
    const std::string known = begin.ok() ? ButKnownContent((*begin)->ToString()) : "";
    return known.empty() ? status : InvalidParquet(absl::StrCat("not a Parquet file", known));
  }

  static absl::Status WrongCount() {
    return InvalidParquet("a row group has not the number of rows that the file says");
  }

  absl::Status Describe(const parquet::FileMetaData& metadata) {
    int64_t rows = 0;
    for (int i = 0; i < metadata.num_row_groups(); ++i) {
      group_rows_.push_back(metadata.RowGroup(i)->num_rows());
      const auto most = static_cast<int64_t>(limits_.max_examples);
      if (group_rows_.back() < 0 || group_rows_.back() > most - rows) {
        return InvalidParquet(absl::StrCat("more than ", most, " rows"));
      }
      rows += group_rows_.back();
    }
    for (const parquet::arrow::SchemaField& field : reader_->manifest().schema_fields) {
      columns_.push_back(DescribeColumn(field.field->name(), *field.field->type()));
      leaves_.push_back(LeavesOf(field, columns_.back()));
    }
    if (const auto& pairs = metadata.key_value_metadata()) {
      const auto value = pairs->Get("huggingface");
      if (value.ok()) huggingface_ = *value;
    }
    return absl::OkStatus();
  }

  absl::StatusOr<std::shared_ptr<arrow::ChunkedArray>> ReadColumn(size_t group,
                                                                  size_t column) const {
    const auto metadata = reader_->parquet_reader()->metadata()->RowGroup(static_cast<int>(group));
    uint64_t declared = 0;
    for (const int leaf : leaves_[column]) {
      const int64_t size = metadata->ColumnChunk(leaf)->total_uncompressed_size();
      if (size < 0 || static_cast<uint64_t>(size) > limits_.max_row_group_bytes - declared) {
        return InvalidParquet(
            absl::StrCat("column '", columns_[column].name, "' of a row group is larger than ",
                         limits_.max_row_group_bytes, " bytes: write it with smaller row groups"));
      }
      declared += static_cast<uint64_t>(size);
    }
    auto table = reader_->ReadRowGroup(static_cast<int>(group), leaves_[column]);
    RETURN_IF_ERROR(FromArrow(table.status()));
    if ((*table)->num_columns() != 1) return absl::InternalError("not the column that was read");
    return (*table)->column(0);
  }

  const DataSetLimits limits_;
  const std::shared_ptr<arrow::MemoryPool> pool_;
  std::unique_ptr<parquet::arrow::FileReader> reader_;
  std::vector<ParquetColumn> columns_;
  std::vector<std::vector<int>> leaves_;
  std::vector<int64_t> group_rows_;
  std::string huggingface_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const ParquetFile>> ParquetFile::Open(const std::string& path,
                                                                     const DataSetLimits& limits) {
  auto file = std::make_unique<ArrowParquetFile>(limits);
  RETURN_IF_ERROR(GuardParquet([&] { return file->Read(path); }));
  return file;
}

}  // namespace stockpot
