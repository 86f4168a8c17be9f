// Named torch tensors into one safetensors file.
#ifndef STOCKPOT_DEPLOY_QUICKSTART_SWEEP_TENSOR_FILE_H_
#define STOCKPOT_DEPLOY_QUICKSTART_SWEEP_TENSOR_FILE_H_

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "torch/torch.h"

namespace stockpot {

using NamedTensors = std::vector<std::pair<std::string, torch::Tensor>>;

// float32 and int64 tensors; `path` must not exist yet.
absl::Status WriteTensors(const std::string& path, const NamedTensors& tensors);

}  // namespace stockpot

#endif  // STOCKPOT_DEPLOY_QUICKSTART_SWEEP_TENSOR_FILE_H_
