// Whole numbers of any width as int64. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_INTEGER_COLUMN_H_
#define STOCKPOT_SERVER_WORKER_DATASET_INTEGER_COLUMN_H_

#include <cstdint>
#include <vector>

#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Appends the elements of `bytes`; a uint64 too large for int64 becomes a negative number, which no
// class has. False, and nothing is appended, where `dtype` is no whole number.
bool AppendIntegers(DType dtype, absl::string_view bytes, std::vector<int64_t>* numbers);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_INTEGER_COLUMN_H_
