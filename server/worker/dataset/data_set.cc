#include "server/worker/dataset/data_set.h"

#include <utility>

#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/image_data_set.h"
#include "server/worker/dataset/image_folder.h"
#include "server/worker/dataset/json_rows.h"
#include "server/worker/dataset/manifest_images.h"
#include "server/worker/dataset/numpy_file.h"
#include "server/worker/dataset/parquet_source.h"
#include "server/worker/dataset/tar_images.h"
#include "server/worker/dataset/tensor_data_set.h"

namespace stockpot {
namespace {

using Kind = DataSetSource::Kind;

// A format holds images or tensors; Parquet says so itself.
absl::StatusOr<ParquetSource> OpenSource(const DataSetSource& source, const DataSetLimits& limits) {
  ParquetSource opened;
  switch (source.kind) {
    case Kind::kImageFolder: {
      ASSIGN_OR_RETURN(opened.images, OpenImageFolder(source, limits));
      return opened;
    }
    case Kind::kWebDataset: {
      ASSIGN_OR_RETURN(opened.images, OpenTarImages(source, limits));
      return opened;
    }
    case Kind::kJsonLines: {
      ASSIGN_OR_RETURN(const bool numbers, HoldsJsonRows(source, limits));
      if (numbers) {
        ASSIGN_OR_RETURN(opened.tensors, OpenJsonRows(source, limits));
      } else {
        ASSIGN_OR_RETURN(opened.images, OpenManifest(source, limits));
      }
      return opened;
    }
    case Kind::kCsv: {
      ASSIGN_OR_RETURN(opened.images, OpenManifest(source, limits));
      return opened;
    }
    case Kind::kParquet:
      return OpenParquet(source, limits);
    case Kind::kTensors: {
      ASSIGN_OR_RETURN(opened.tensors, OpenSafetensorsRows(source.path));
      return opened;
    }
    case Kind::kNumpy: {
      ASSIGN_OR_RETURN(opened.tensors, OpenNumpy(source.path, limits));
      return opened;
    }
  }
  return absl::InternalError("a data set of no kind");
}

absl::StatusOr<std::shared_ptr<const DataSet>> Open(const DataSetSource& source,
                                                    const CacheFolder& cache,
                                                    const DataSetLimits& limits,
                                                    const Progress& progress) {
  ASSIGN_OR_RETURN(const ParquetSource opened, OpenSource(source, limits));
  if (opened.tensors != nullptr) {
    if (source.geometry != ImageGeometry()) {
      return WithReason(absl::InvalidArgumentError(
                            "an image transform is asked for, and the data set holds tensors"),
                        "DATA_SET_INVALID");
    }
    return OpenTensorDataSet(*opened.tensors, source, cache, limits, progress);
  }
  if (!source.pad_values.empty()) {
    return WithReason(
        absl::InvalidArgumentError("pad_values are for tensors, and these are images"),
        "DATA_SET_INVALID");
  }
  if (!source.weight_tensor.empty() && opened.images->weights().empty()) {
    return WithReason(absl::InvalidArgumentError(
                          "weight_tensor: a folder of images has nothing that could hold weights"),
                      "DATA_SET_INVALID");
  }
  ASSIGN_OR_RETURN(ListedImages images, ListImages(opened.images, source));
  return OpenImageDataSet(std::move(images), source, cache, limits, progress);
}

}  // namespace

absl::StatusOr<std::shared_ptr<const DataSet>> OpenDataSet(
    const DataSetSource& source, const std::string& cache_folder, const DataSetLimits& limits,
    const Progress& progress, const FailPoints* fail_points, WorkCounters* counters) {
  std::shared_ptr<const DataSet> data_set;
  RETURN_IF_ERROR(Guard([&]() -> absl::Status {
    ASSIGN_OR_RETURN(const CacheFolder cache,
                     CacheFolder::Create(cache_folder, fail_points, counters));
    ASSIGN_OR_RETURN(data_set, Open(source, cache, limits, progress));
    return absl::OkStatus();
  }));
  return data_set;
}

}  // namespace stockpot
