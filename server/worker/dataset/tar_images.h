// WebDataset: tar files whose members KEY.EXTENSION, side by side, make an example each.
//
// Source: https://github.com/webdataset/webdataset, wds/tariterators.py (base_plus_ext,
// group_by_keys): the key ends at the first dot of the name's last part, extensions are compared
// in lower case, members without one and __meta__ ones are passed over. Stricter than there: a key
// that comes again later, or without its image or label, is an error.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TAR_IMAGES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TAR_IMAGES_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/worker/dataset/image_source.h"

namespace stockpot {

// The files `source.files`. Labels and weights: spec.proto's label_tensor and weight_tensor.
// Errors: INVALID_ARGUMENT or DATA_LOSS, reason DATA_SET_INVALID, naming file and member; no
// example: DATA_SET_EMPTY; DATA_SET_NOT_FOUND.
absl::StatusOr<std::shared_ptr<const ImageSource>> OpenTarImages(const DataSetSource& source,
                                                                 const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TAR_IMAGES_H_
