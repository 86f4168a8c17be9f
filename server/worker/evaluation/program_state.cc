#include "server/worker/evaluation/program_state.h"

#include <torch/csrc/jit/ir/constants.h>

#include <algorithm>
#include <optional>
#include <string>

#include "server/worker/evaluation/program_graphs.h"

namespace stockpot {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;

// What a condition always is in a model that does not train; nothing where it may be either.
std::optional<bool> AlwaysIs(const Value* value) {
  const Node* const node = value->node();
  if (node->kind() == c10::prim::Constant) {
    return torch::jit::constant_as<bool>(const_cast<Value*>(value));
  }
  if (node->kind() == c10::prim::GetAttr && node->s(c10::attr::name) == "training") return false;
  if (node->kind() != c10::prim::If) return std::nullopt;
  const std::optional<bool> condition = AlwaysIs(node->input());
  if (!condition.has_value()) return std::nullopt;
  return AlwaysIs(node->blocks()[*condition ? 0 : 1]->outputs()[value->offset()]);
}

// Where what is changed comes from, views of it looked through.
const Node* OriginOf(const Value* value) {
  const Node* node = value->node();
  for (const c10::FunctionSchema* schema = node->maybeSchema();
       schema != nullptr && !schema->returns().empty() && !node->inputs().empty() &&
       schema->returns()[0].alias_info() != nullptr;
       schema = node->maybeSchema()) {
    node = node->input(0)->node();
  }
  return node;
}

bool Changes(const Node* node) {
  if (node->kind() == c10::prim::SetAttr) return true;
  const c10::FunctionSchema* const schema = node->maybeSchema();
  if (schema == nullptr) return false;
  for (size_t i = 0; i < std::min(schema->arguments().size(), node->inputs().size()); ++i) {
    const c10::AliasInfo* const alias = schema->arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite() &&
        OriginOf(node->input(i))->kind() == c10::prim::GetAttr) {
      return true;
    }
  }
  return false;
}

bool AnyChanges(const Block* block);

bool ChangesWithin(const Node* node) {
  if (Changes(node)) return true;
  if (node->kind() == c10::prim::If) {
    if (const std::optional<bool> condition = AlwaysIs(node->input()); condition.has_value()) {
      return AnyChanges(node->blocks()[*condition ? 0 : 1]);
    }
  }
  return std::any_of(node->blocks().begin(), node->blocks().end(), AnyChanges);
}

bool AnyChanges(const Block* block) {
  return std::any_of(block->nodes().begin(), block->nodes().end(), ChangesWithin);
}

}  // namespace

bool KeepsState(const torch::jit::Module& module) {
  const auto graphs = GraphsOf(module);
  return std::any_of(graphs.begin(), graphs.end(),
                     [](const auto& graph) { return AnyChanges(graph->block()); });
}

}  // namespace stockpot
