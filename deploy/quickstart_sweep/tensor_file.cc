#include "deploy/quickstart_sweep/tensor_file.h"

#include "server/base/status.h"
#include "server/worker/checkpoint/safetensors_writer.h"

namespace stockpot {

absl::Status WriteTensors(const std::string& path, const NamedTensors& tensors) {
  std::vector<TensorInfo> infos;
  for (const auto& [name, tensor] : tensors) {
    infos.push_back(
        {name, tensor.is_floating_point() ? DType::kFloat32 : DType::kInt64, tensor.sizes().vec()});
  }
  ASSIGN_OR_RETURN(const auto writer, SafetensorsWriter::Create(path, infos, /*metadata=*/{}));
  for (const auto& [name, tensor] : tensors) {
    const torch::Tensor elements = tensor.detach().contiguous();
    RETURN_IF_ERROR(
        writer->Append({static_cast<const char*>(elements.data_ptr()), elements.nbytes()}));
  }
  return writer->Finish().status();
}

}  // namespace stockpot
