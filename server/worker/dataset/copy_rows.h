// Chosen rows of a tensor, written one after another. Thread safety: as TensorRows::Scan.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_COPY_ROWS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_COPY_ROWS_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

struct RowsOfTensor {
  const TensorRows& rows;
  size_t index;                         // of the tensor in `rows`
  const std::vector<int64_t>* lengths;  // of a list: of each row; else null
};

// `chosen` of `row_count` rows, ascending, to `offset` of `file`. Errors: of Scan, WrongRowCount,
// and of writing.
absl::Status CopyRows(const RowsOfTensor& tensor, size_t row_count,
                      const std::vector<size_t>& chosen, uint64_t offset,
                      CacheFolder::PartialFile* file);

// INVALID_ARGUMENT (DATA_SET_INVALID): the content is not of the shape.
absl::Status WrongRowCount(const TensorInfo& info);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_COPY_ROWS_H_
