// Tensors that are in memory already, as TensorRows. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_STATE_DICT_ROWS_H_
#define STOCKPOT_SERVER_WORKER_DATASET_STATE_DICT_ROWS_H_

#include <functional>
#include <memory>

#include "server/worker/dataset/source_files.h"
#include "server/worker/dataset/tensor_rows.h"

namespace stockpot {

// `files` are what the tensors were read from; `verify` is what Verify() does.
std::shared_ptr<const TensorRows> MakeStateDictRows(
    std::shared_ptr<const StateDict> tensors, StampedFiles files,
    std::function<absl::Status()> verify = [] { return absl::OkStatus(); });

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_STATE_DICT_ROWS_H_
