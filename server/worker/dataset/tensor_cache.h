// Tensors that are not used as their file has them: columns of Parquet, a selection of examples,
// labels that are mapped, lists. They are written to the cache once, as NAME.tensors: a safetensors
// file with the labels and the inputs; NAME is the digest of all it depends on.
//
// Lists that have one length are tensors as all others. Where they differ, an input holds the
// elements of all examples one after another, [total, …]; kLengthsTensor, I64 [N], says how many
// are whose; and labels are I64 [N, longest], kIgnoredToken behind the end of shorter ones.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TENSOR_CACHE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TENSOR_CACHE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/tensor_roles.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

// `key` is the digest of rows, roles, label map, class names and selection. `progress` counts
// tensors. Errors: of Scan, Lengths, ResolveLabels and SelectExamples; of the cache;
// DATA_SET_INVALID lists of an example that differ in length, or are too long.
absl::StatusOr<std::shared_ptr<const StateDict>> OpenCachedTensors(
    const TensorRows& rows, const TensorRoles& roles, const DataSetSource& source,
    const DataSetLimits& limits, const CacheFolder& cache, const std::string& key,
    const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TENSOR_CACHE_H_
