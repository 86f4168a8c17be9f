#include "tests/bench/server/big_model.h"

#include <torch/script.h>

namespace stockpot {

void SaveBigModel(const std::string& path, int64_t ballast) {
  torch::jit::Module module("Big");
  module.register_parameter("ballast", torch::zeros({ballast}), /*is_buffer=*/false);
  module.register_parameter("bias", torch::zeros({3}), /*is_buffer=*/false);
  module.register_parameter("weight", torch::zeros({3, 4}), /*is_buffer=*/false);
  module.define("def forward(self, x): return torch.matmul(x, self.weight.t()) + self.bias\n");
  module.save(path);
}

}  // namespace stockpot
