#include "server/worker/evaluation/shape_constants.h"

#include <algorithm>
#include <unordered_set>

#include "server/worker/evaluation/program_graphs.h"

namespace stockpot {
namespace {

using torch::jit::Block;
using torch::jit::Node;
using torch::jit::Value;
using Nodes = std::unordered_set<const Node*>;

bool IsTensorConstant(const Node* node) {
  return node->kind() == c10::prim::Constant && node->hasAttribute(c10::attr::value) &&
         node->kindOf(c10::attr::value) == torch::jit::AttributeKind::t;
}

bool IsIntegerConstant(const Node* node) {
  if (!IsTensorConstant(node)) return false;
  const at::Tensor& value = node->t(c10::attr::value);
  return value.dim() == 0 && value.scalar_type() == c10::kLong;
}

bool IsArithmetic(const Node* node) {
  switch (node->kind()) {
    case c10::aten::add:
    case c10::aten::sub:
    case c10::aten::mul:
    case c10::aten::div:
    case c10::aten::floor_divide:
    case c10::aten::remainder:
      return node->outputs().size() == 1;
    default:
      return false;
  }
}

void Collect(Block* block, std::vector<Node*>* nodes) {
  for (Node* node : block->nodes()) {
    nodes->push_back(node);
    for (Block* inner : node->blocks()) Collect(inner, nodes);
  }
}

// Arithmetic whose tensors are sizes, constants or such arithmetic, and whose result is used by
// such arithmetic or becomes an integer.
bool IsOfSizes(const Node* node, const Nodes& arithmetic) {
  const bool inputs =
      std::all_of(node->inputs().begin(), node->inputs().end(), [&](const Value* input) {
        const Node* from = input->node();
        return !input->type()->isSubtypeOf(*c10::TensorType::get()) ||
               from->kind() == c10::prim::NumToTensor || IsIntegerConstant(from) ||
               arithmetic.count(from) > 0;
      });
  const auto& uses = node->output()->uses();
  return inputs && std::all_of(uses.begin(), uses.end(), [&](const torch::jit::Use& use) {
           return use.user->kind() == c10::aten::Int || arithmetic.count(use.user) > 0;
         });
}

}  // namespace

std::vector<Node*> FindShapeConstants(torch::jit::Graph& graph) {
  std::vector<Node*> nodes;
  Collect(graph.block(), &nodes);
  Nodes arithmetic;
  for (const Node* node : nodes) {
    if (IsArithmetic(node)) arithmetic.insert(node);
  }
  // What is not of sizes makes what it is used with not so either.
  for (size_t before = arithmetic.size() + 1; arithmetic.size() < before;) {
    before = arithmetic.size();
    for (const Node* node : nodes) {
      if (arithmetic.count(node) > 0 && !IsOfSizes(node, arithmetic)) arithmetic.erase(node);
    }
  }
  std::vector<Node*> constants;
  for (Node* node : nodes) {
    if (!IsIntegerConstant(node) || !node->output()->hasUses()) continue;
    const auto& uses = node->output()->uses();
    const bool of_sizes = std::all_of(uses.begin(), uses.end(), [&](const torch::jit::Use& use) {
      return arithmetic.count(use.user) > 0;
    });
    if (of_sizes) constants.push_back(node);
  }
  return constants;
}

void KeepShapeConstantsInMemory(const torch::jit::Module& module) {
  for (const auto& graph : GraphsOf(module)) {
    for (Node* constant : FindShapeConstants(*graph)) {
      constant->t_(c10::attr::value, constant->t(c10::attr::value).cpu());
    }
  }
}

}  // namespace stockpot
