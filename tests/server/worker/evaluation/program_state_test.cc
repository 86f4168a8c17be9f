#include "server/worker/evaluation/program_state.h"

#include <gtest/gtest.h>
#include <torch/script.h>
#include <torch/torch.h>

namespace stockpot {
namespace {

TEST(KeepsState, IsWhatACallLeavesForTheNext) {
  const struct {
    const char* what;
    const char* code;
    bool keeps;
  } cases[] = {
      {"computes", "def forward(self, x):\n  return x.relu_() + 1\n", false},
      {"reads", "def forward(self, x):\n  return x + self.sum\n", false},
      {"sets", "def forward(self, x):\n  self.sum = self.sum + 1\n  return x\n", true},
      {"adds in place", "def forward(self, x):\n  self.sum.add_(1)\n  return x\n", true},
      {"writes a part", "def forward(self, x):\n  self.sum[0] = 1\n  return x\n", true},
      {"only while it trains",
       "def forward(self, x):\n  if self.training and bool(x.sum() > 0):\n    self.sum.add_(1)\n  "
       "return x\n",
       false},
      {"unless it trains",
       "def forward(self, x):\n  if not self.training:\n    self.sum.add_(1)\n  return x\n", true},
      {"as the input says",
       "def forward(self, x):\n  if bool(x.sum() > 0):\n    self.sum.add_(1)\n  return x\n", true},
      {"in a loop",
       "def forward(self, x):\n  for i in range(3):\n    self.sum.add_(1)\n  return x\n", true},
  };
  for (const auto& test : cases) {
    torch::jit::Module module("m");
    module.register_attribute("training", c10::BoolType::get(), true);
    module.register_buffer("sum", torch::zeros({2}));
    module.define(test.code);
    module.eval();
    EXPECT_EQ(KeepsState(module), test.keeps) << test.what;
    torch::jit::Module outer("o");
    outer.register_attribute("training", c10::BoolType::get(), false);
    outer.register_module("inner", module);
    outer.define("def forward(self, x):\n  return self.inner.forward(x)\n");
    EXPECT_EQ(KeepsState(outer), test.keeps) << test.what << ", within another";
  }
}

}  // namespace
}  // namespace stockpot
