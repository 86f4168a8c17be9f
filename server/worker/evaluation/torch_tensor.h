// A state dict's tensor as one of LibTorch's. Internal to evaluation/. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_TENSOR_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_TENSOR_H_

#include <ATen/core/Tensor.h>
#include <c10/core/Device.h>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// A copy of tensor `index`, as it is stored. Errors: of reading. May throw what LibTorch throws.
absl::StatusOr<at::Tensor> ToDevice(const StateDict& tensors, size_t index, c10::Device device);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_TORCH_TENSOR_H_
