// The pickle (data.pkl) of a torch.save archive of plain tensors, each the whole of a storage of
// its own.
//
// Source: torch/_tensor.py, Tensor._reduce_ex_internal; torch/serialization.py, persistent_id() of
// _save(); Python's pickletools for the opcodes of protocol 2.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_PICKLE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_PICKLE_H_

#include <string>
#include <vector>

#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// An OrderedDict of the tensors, contiguous, on the CPU. The elements of tensors[i] are those of
// archive entry "data/i".
std::string StateDictPickle(const std::vector<TensorInfo>& tensors);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_PICKLE_H_
