// The graphs of a TorchScript program. Internal to evaluation/. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_GRAPHS_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_GRAPHS_H_

#include <torch/csrc/jit/api/function_impl.h>
#include <torch/script.h>

#include <memory>
#include <vector>

namespace stockpot {

// Of all methods of the module and of those within it; the program's own, so that a change of one
// is a change of what it computes.
inline std::vector<std::shared_ptr<torch::jit::Graph>> GraphsOf(const torch::jit::Module& module) {
  std::vector<std::shared_ptr<torch::jit::Graph>> graphs;
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      auto* const function = torch::jit::tryToGraphFunction(method.function());
      if (function != nullptr) graphs.push_back(function->graph());
    }
  }
  return graphs;
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_PROGRAM_GRAPHS_H_
