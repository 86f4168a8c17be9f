// Named tensors as a DataSet (data_set.h states the errors).
//
// Tensors that a file has as they are used are mapped, not copied; others go through
// tensor_cache.h. The content digest is kept (digest_cache.h) under a digest of paths, inodes,
// sizes, times of change, chosen tensors and selection.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

// The tensors of the safetensors file `path`.
absl::StatusOr<std::shared_ptr<const TensorRows>> OpenSafetensorsRows(const std::string& path);

// Thread-safe.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenTensorDataSet(const TensorRows& rows,
                                                                 const DataSetSource& source,
                                                                 const CacheFolder& cache,
                                                                 const DataSetLimits& limits,
                                                                 const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_
