// Arithmetic with sizes in a traced module. Internal to evaluation/.
//
// torch.jit.trace writes `x.shape[2] // 32` as operators on tensors of one number, and loading the
// module onto a card takes its constants, the 32, there too: each such line then waits until the
// card has done all before it, many times in a forward(). Kept in memory, the same integers come
// out and nothing waits.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_SHAPE_CONSTANTS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_SHAPE_CONSTANTS_H_

#include <torch/csrc/jit/ir/ir.h>
#include <torch/script.h>

#include <vector>

namespace stockpot {

// Constants of one integer that only meet sizes and each other, and only become integers again.
std::vector<torch::jit::Node*> FindShapeConstants(torch::jit::Graph& graph);

// Moves those of all methods into memory. To be called before any of them runs.
void KeepShapeConstantsInMemory(const torch::jit::Module& module);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_SHAPE_CONSTANTS_H_
