// NumPy arrays as named tensors: a .npz file (np.savez) or a folder of NAME.npy files (np.save).
//
// Source: https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html, versions 1.0 to
// 3.0. The header is a Python dictionary: the three keys with plain literals are read by our own
// parser, nothing is evaluated. Refused by name: object arrays (they are pickles), strings,
// structured types, big-endian numbers, Fortran order, compressed .npz. The zip reader is
// checkpoint/zip_archive.h.
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_NUMPY_FILE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_NUMPY_FILE_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

struct NumpyArray {
  TensorInfo info;  // without a name
  absl::string_view bytes;
};

// One .npy file in memory. Errors: INVALID_ARGUMENT; DATA_LOSS it ends early.
absl::StatusOr<NumpyArray> ParseNumpy(absl::string_view file);

// Errors: INVALID_ARGUMENT or DATA_LOSS, reason DATA_SET_INVALID, naming the array;
// DATA_SET_NOT_FOUND; DATA_SET_EMPTY no arrays.
absl::StatusOr<std::shared_ptr<const TensorRows>> OpenNumpy(const std::string& path,
                                                            const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_NUMPY_FILE_H_
