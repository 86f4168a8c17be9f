#include "server/worker/dataset/data_set.h"

#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/image_data_set.h"
#include "server/worker/dataset/tensor_data_set.h"

namespace stockpot {

absl::StatusOr<std::shared_ptr<const DataSet>> OpenDataSet(const DataSetSource& source,
                                                           const std::string& cache_folder,
                                                           const DataSetLimits& limits,
                                                           const Progress& progress,
                                                           const FailPoints* fail_points) {
  std::shared_ptr<const DataSet> data_set;
  RETURN_IF_ERROR(Guard([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const CacheFolder cache, CacheFolder::Create(cache_folder, fail_points));
    ASSIGN_OR_RETURN(data_set, source.kind == DataSetSource::Kind::kImageFolder
                                   ? OpenImageDataSet(source, cache, limits, progress)
                                   : OpenTensorDataSet(source, cache, limits));
    return absl::OkStatus();
  }));
  return data_set;
}

}  // namespace stockpot
