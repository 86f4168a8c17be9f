// Arrow's types and arrays as parquet_file.h gives them. Internal to parquet_file.cc.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_PARQUET_ARRAYS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_PARQUET_ARRAYS_H_

#include <arrow/array.h>
#include <arrow/chunked_array.h>
#include <arrow/status.h>

#include "server/worker/dataset/parquet_file.h"

namespace stockpot {

// INVALID_ARGUMENT, reason DATA_SET_INVALID, with Arrow's message.
absl::Status FromArrow(const arrow::Status& status);

ParquetColumn DescribeColumn(const std::string& name, const arrow::DataType& type);

// The name of the field with an image's bytes.
inline constexpr char kBytesField[] = "bytes";

// `owner` is not filled in: the views live as long as `column`. Errors name the row.
absl::StatusOr<ParquetFile::Values> ToValues(const arrow::ChunkedArray& column);
absl::StatusOr<ParquetFile::Numbers> ToNumbers(const arrow::ChunkedArray& column);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_PARQUET_ARRAYS_H_
