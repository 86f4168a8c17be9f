// A Runner over a TorchScript module. Internal to evaluation/: see evaluator.h.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_TORCHSCRIPT_RUNNER_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_TORCHSCRIPT_RUNNER_H_

#include <torch/script.h>

#include <memory>
#include <string>
#include <vector>

#include "server/worker/evaluation/evaluator.h"
#include "server/worker/evaluation/model_inputs.h"
#include "server/worker/evaluation/output_mapping.h"

namespace stockpot {

class TorchScriptRunner final : public Runner {
 public:
  static absl::StatusOr<std::unique_ptr<Runner>> Create(torch::jit::Module module,
                                                        c10::Device device);

  const std::vector<TensorInfo>& tensors() const override { return tensors_; }
  const DeviceInfo& device() const override { return device_info_; }
  const std::vector<std::string>& buffers() const override { return buffers_; }

  absl::Status SetWeights(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                          absl::Span<const double> coefficients,
                          std::optional<DType> dtype) override;
  absl::Status Run(const DataSet& data_set, const MeasureOptions& options,
                   const OutputSink& sink) override;

 private:
  struct Slot {
    at::Tensor tensor;    // the module's own
    at::Tensor original;  // of buffers alone: the architecture's own values
  };

  TorchScriptRunner(torch::jit::Module module, c10::Device device);
  absl::Status ReadSlots();
  absl::Status AddSlot(const std::string& name, const at::Tensor& tensor, bool is_buffer);
  absl::Status CheckNames(const std::vector<TensorInfo>& given) const;
  absl::Status Write(absl::Span<const std::shared_ptr<const StateDict>> ingredients,
                     absl::Span<const double> coefficients, size_t index,
                     std::optional<DType> dtype, at::Tensor* target) const;
  absl::Status RunBatches(const DataSet& data_set, const MeasureOptions& options,
                          const OutputSink& sink);
  // Logits as FindLogits() gives them, contiguous on the CPU.
  absl::StatusOr<at::Tensor> Forward(Arguments arguments, const MeasureOptions& options,
                                     const OutputMapping& mapping) const;

  torch::jit::Module module_;
  const c10::Device device_;
  const DeviceInfo device_info_;
  std::vector<TensorInfo> tensors_;
  std::vector<std::string> buffers_;
  std::vector<Slot> slots_;  // of tensors_, in the same order
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_TORCHSCRIPT_RUNNER_H_
