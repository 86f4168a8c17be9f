// Which numbers a type of tensor can hold. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_DTYPE_RANGE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_DTYPE_RANGE_H_

#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Of integers exactly, up to 32 bits also where they are wider; of floats any that is finite.
bool CanHold(DType dtype, double value);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_DTYPE_RANGE_H_
