// The one place where LibTorch's exceptions become statuses, and its vector registers everybody's.
// Internal to evaluation/.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_GUARD_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_GUARD_H_

#include <string>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/worker/evaluation/vector_registers.h"

namespace stockpot {

// What an exception's text says, in a few short lines: no stack of the process, no code listing.
std::string BriefMessage(absl::string_view what);

// To be called in a catch block. RESOURCE_EXHAUSTED (reason OUT_OF_MEMORY) when memory ran out;
// INVALID_ARGUMENT (reason MODEL_INPUT_MISMATCH) when an operator refused a shape or type, as it
// does when a model is given inputs it is not made for; INTERNAL (reason DEVICE_LOST) after an
// error that leaves this process unable to use its card; else INTERNAL (reason MODEL_FAILED), which
// is also what the program's own `raise` gives. The message starts with `doing`.
absl::Status StatusOfCurrentException(absl::string_view doing);

// Calls `function`, which gives a Status or StatusOr. An exception becomes a status.
template <typename Function>
std::invoke_result_t<Function> Guard(absl::string_view doing, Function&& function) {
  try {
    auto result = function();
    ClearUpperVectorRegisters();
    return result;
  } catch (...) {
    return StatusOfCurrentException(doing);
  }
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_GUARD_H_
