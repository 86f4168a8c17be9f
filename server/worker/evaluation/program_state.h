// Whether a TorchScript program keeps anything from one call to the next. Internal to evaluation/.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_

#include <torch/script.h>

namespace stockpot {

// True where some method sets an attribute, or changes a list or a dictionary that is one: two
// calls at once would break each other. Numbers in its tensors may be changed: that breaks nothing,
// and a model whose results depend on it gives no two equal ones anyway.
bool KeepsState(const torch::jit::Module& module);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_STATE_H_
