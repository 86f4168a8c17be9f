// How long work tells how far it is and hears whether to go on.
#ifndef STOCKPOT_SERVER_BASE_PROGRESS_H_
#define STOCKPOT_SERVER_BASE_PROGRESS_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"

namespace stockpot {

// Called with what is done so far and all there is (0: not known yet), in the worker's own unit:
// examples, tensors. `done` never falls. A result that is not OK ends the work with it.
using Progress = std::function<absl::Status(int64_t done, int64_t total)>;

// Asks whether to go on, where there is nothing to count. Called often, from any thread; a result
// that is not OK ends the work with it.
using KeepGoing = std::function<absl::Status()>;

// For work that nobody watches.
inline absl::Status Unwatched(int64_t /*done*/, int64_t /*total*/) { return absl::OkStatus(); }

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_PROGRESS_H_
