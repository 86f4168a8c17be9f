// Images as a DataSet (data_set.h states the errors).
#ifndef STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DATA_SET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DATA_SET_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

// Of those that have names, else the largest label and one.
int64_t ClassCountOf(const ListedImages& images);

// `images` of `source`, through their file in the cache, or streamed where that would be larger
// than the cache may be. Thread-safe.
absl::StatusOr<std::shared_ptr<const DataSet>> OpenImageDataSet(ListedImages images,
                                                                const DataSetSource& source,
                                                                const CacheFolder& cache,
                                                                const DataSetLimits& limits,
                                                                const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_IMAGE_DATA_SET_H_
