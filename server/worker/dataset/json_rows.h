// Lines of JSON objects as named tensors: numbers and lists of numbers, such as the tokens of a
// text, a field each.
//
// Fields that hold neither are passed over, unless they are asked for. Every line has the same
// fields. A field whose numbers are all whole is I64, another F32; lists may differ in length, and
// none is empty. All is in memory. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_JSON_ROWS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_JSON_ROWS_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

// Whether the lines have numbers and not paths of images: by `source`, or by the first of them.
// Errors: DATA_SET_NOT_FOUND; DATA_SET_INVALID over the limits.
absl::StatusOr<bool> HoldsJsonRows(const DataSetSource& source, const DataSetLimits& limits);

// Errors: those above; DATA_SET_INVALID, naming the line; DATA_SET_EMPTY.
absl::StatusOr<std::shared_ptr<const TensorRows>> OpenJsonRows(const DataSetSource& source,
                                                               const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_JSON_ROWS_H_
