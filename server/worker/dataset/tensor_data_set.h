// Named tensors of a safetensors file as a DataSet (data_set.h states the errors).
//
// The file is mapped, not copied. Its content digest would cost a full read at every open, so it is
// kept in the cache as NAME.digest: the digest, a space, and SHA-256 of key and digest, all in
// hexadecimal; NAME is the key, a digest of path, inode, size, time of change and chosen tensors.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

// Thread-safe.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenTensorDataSet(const DataSetSource& source,
                                                                 const CacheFolder& cache,
                                                                 const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TENSOR_DATA_SET_H_
