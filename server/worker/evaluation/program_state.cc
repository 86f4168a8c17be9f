#include "server/worker/evaluation/program_state.h"

#include <torch/csrc/jit/api/function_impl.h>

#include <algorithm>

namespace stockpot {
namespace {

bool IsKeptContainer(const torch::jit::Value* value) {
  const c10::TypeKind kind = value->type()->kind();
  return value->node()->kind() == c10::prim::GetAttr &&
         (kind == c10::TypeKind::ListType || kind == c10::TypeKind::DictType);
}

bool Changes(const torch::jit::Node* node) {
  if (node->kind() == c10::prim::SetAttr) return true;
  const c10::FunctionSchema* const schema = node->maybeSchema();
  return schema != nullptr && schema->is_mutable() &&
         std::any_of(node->inputs().begin(), node->inputs().end(), IsKeptContainer);
}

bool AnyChanges(const torch::jit::Block* block) {
  return std::any_of(block->nodes().begin(), block->nodes().end(),
                     [](const torch::jit::Node* node) {
                       return Changes(node) ||
                              std::any_of(node->blocks().begin(), node->blocks().end(), AnyChanges);
                     });
}

}  // namespace

bool KeepsState(const torch::jit::Module& module) {
  for (const torch::jit::Module& part : module.modules()) {
    for (const torch::jit::Method& method : part.get_methods()) {
      auto* const function = torch::jit::tryToGraphFunction(method.function());
      if (function != nullptr && AnyChanges(function->graph()->block())) return true;
    }
  }
  return false;
}

}  // namespace stockpot
