// Whether a TorchScript program keeps anything from one call to the next. Internal to evaluation/.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_

#include <torch/script.h>

namespace stockpot {

// True where some method, of a module that does not train, sets an attribute or changes one in
// place: what a call gives then depends on the calls before it. What it does by way of another
// function (not a method) is not seen.
bool KeepsState(const torch::jit::Module& module);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_
