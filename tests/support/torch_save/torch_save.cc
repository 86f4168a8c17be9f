#include "tests/support/torch_save/torch_save.h"

#include <torch/script.h>
#include <torch/torch.h>

#include <cstring>
#include <exception>
#include <fstream>
#include <vector>

#include "server/base/status.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

absl::Status WriteTorchSave(const std::string& checkpoint, const std::string& path) {
  ASSIGN_OR_RETURN(const auto state_dict, OpenCheckpoint(checkpoint, CheckpointLimits()));
  try {
    c10::Dict<std::string, at::Tensor> tensors;
    std::vector<char> scratch;
    for (size_t i = 0; i < state_dict->tensors().size(); ++i) {
      const TensorInfo& info = state_dict->tensors()[i];
      if (info.dtype != DType::kFloat32 && info.dtype != DType::kInt64) {
        return absl::UnimplementedError(info.name);
      }
      ASSIGN_OR_RETURN(const absl::Span<const char> elements, state_dict->Read(i, &scratch));
      at::Tensor tensor =
          torch::empty(info.shape, info.dtype == DType::kFloat32 ? torch::kFloat : torch::kLong);
      std::memcpy(tensor.data_ptr(), elements.data(), elements.size());
      tensors.insert(info.name, tensor);
    }
    const std::vector<char> archive = torch::pickle_save(tensors);
    std::ofstream(path, std::ios::binary)
        .write(archive.data(), static_cast<std::streamsize>(archive.size()));
    return absl::OkStatus();
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

}  // namespace stockpot
