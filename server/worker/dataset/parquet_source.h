// Parquet files in the Hugging Face layout as a data set: images in a column of encoded bytes, or
// columns of numbers as named tensors. The columns of all files are those of the first.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SOURCE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SOURCE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/worker/dataset/image_source.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

// One of them is null.
struct ParquetSource {
  std::shared_ptr<const ImageSource> images;
  std::shared_ptr<const TensorRows> tensors;
};

// Columns as spec.proto says of PARQUET.
// Errors: of ParquetFile, naming file and column; DATA_SET_EMPTY no rows, no file of the split.
absl::StatusOr<ParquetSource> OpenParquet(const DataSetSource& source, const DataSetLimits& limits);

// Whether the file `name` belongs to `split` ("": any does), by what it or its folder is called.
bool IsOfSplit(absl::string_view name, absl::string_view split);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_PARQUET_SOURCE_H_
