#include "server/worker/evaluation/torch_tensor.h"

#include <torch/torch.h>

#include <vector>

#include "server/base/status.h"
#include "server/worker/evaluation/torch_dtype.h"

namespace stockpot {

absl::StatusOr<at::Tensor> ToDevice(const StateDict& tensors, size_t index, c10::Device device) {
  const TensorInfo& info = tensors.tensors()[index];
  std::vector<char> scratch;
  ASSIGN_OR_RETURN(const absl::Span<const char> bytes, tensors.Read(index, &scratch));
  const c10::ScalarType type = ToScalarType(info.dtype);
  const at::Tensor view = torch::from_blob(const_cast<char*>(bytes.data()), info.shape, type);
  return view.to(device, type, /*non_blocking=*/false, /*copy=*/true);
}

}  // namespace stockpot
