#include "server/worker/evaluation/shape_constants.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/csrc/jit/ir/irparser.h>

#include <memory>
#include <string>
#include <vector>

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

// The values of what is found. Of the graph's inputs, %t3 … are made constants of these values.
std::vector<int64_t> Found(const std::string& body) {
  auto graph = std::make_shared<torch::jit::Graph>();
  std::unordered_map<std::string, torch::jit::Value*> names;
  torch::jit::parseIR("graph(%x : Tensor, %t3 : Tensor, %t7 : Tensor, %t32 : Tensor):\n" + body,
                      graph.get(), names);
  const torch::jit::WithInsertPoint at_the_start(graph->block()->nodes().front());
  for (const int64_t value : {3, 7, 32}) {
    torch::jit::Value* const constant =
        graph->insertConstant(torch::scalar_tensor(value, torch::kInt64));
    names.at("t" + std::to_string(value))->replaceAllUsesWith(constant);
  }
  std::vector<int64_t> values;
  for (torch::jit::Node* node : FindShapeConstants(*graph)) {
    values.push_back(node->t(c10::attr::value).item<int64_t>());
  }
  return values;
}

const std::string kSize =
    "  %zero : int = prim::Constant[value=0]()\n"
    "  %size : int = aten::size(%x, %zero)\n"
    "  %h : Tensor = prim::NumToTensor(%size)\n";

TEST(ShapeConstants, FindsThoseThatOnlyMeetSizes) {
  EXPECT_THAT(Found(kSize + R"IR(
  %n : Tensor = aten::floor_divide(%h, %t32)
  %m : Tensor = aten::mul(%n, %t3)
  %k : int = aten::Int(%m)
  return (%k))IR"),
              ElementsAre(3, 32));
}

// A number in memory and the same on a card are not the same to an operator on the card.
TEST(ShapeConstants, LeavesWhatMeetsOtherTensors) {
  EXPECT_THAT(Found(kSize + R"IR(
  %y : Tensor = aten::mul(%x, %t32)
  return (%y))IR"),
              IsEmpty())
      << "times the input";
  EXPECT_THAT(Found(kSize + R"IR(
  %n : Tensor = aten::floor_divide(%h, %t32)
  %k : int = aten::Int(%n)
  %y : Tensor = aten::div(%x, %n)
  return (%y, %k))IR"),
              IsEmpty())
      << "a result that divides the input too";
  EXPECT_THAT(Found(kSize + R"IR(
  %n : Tensor = aten::floor_divide(%h, %t32)
  %k : int = aten::Int(%n)
  return (%k, %t32))IR"),
              IsEmpty())
      << "a constant that is given back";
}

TEST(ShapeConstants, OneThatIsFoundDoesNotMakeAnotherSo) {
  EXPECT_THAT(Found(kSize + R"IR(
  %n : Tensor = aten::floor_divide(%h, %t32)
  %k : int = aten::Int(%n)
  %y : Tensor = aten::add(%x, %t7, %k)
  return (%y))IR"),
              ElementsAre(32));
}

}  // namespace
}  // namespace stockpot
