#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/architecture.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/precision_scope.h"
#include "server/worker/evaluation/program_state.h"
#include "server/worker/evaluation/shape_constants.h"

namespace stockpot {
namespace {

class TorchScriptArchitecture final : public Architecture {
 public:
  TorchScriptArchitecture(torch::jit::Module module, c10::Device device)
      : module_(std::move(module)), device_(device), keeps_state_(KeepsState(module_)) {}

  std::vector<Tensor> Tensors() const override {
    std::vector<Tensor> tensors;
    for (const auto& parameter : module_.named_parameters()) {
      tensors.push_back({parameter.name, parameter.value, /*is_buffer=*/false});
    }
    for (const auto& buffer : module_.named_buffers()) {
      tensors.push_back({buffer.name, buffer.value, /*is_buffer=*/true});
    }
    return tensors;
  }
  const c10::FunctionSchema& schema() const override {
    return module_.get_method("forward").function().getSchema();
  }
  c10::IValue Forward(Arguments arguments) override {
    return module_.get_method("forward")(std::move(arguments.positional), arguments.named);
  }
  absl::Status CheckComputation(Precision precision, bool /*channels_last*/) const override {
    return CheckPrecision(device_, precision);
  }
  bool runs_at_once() const override { return !keeps_state_; }
  torch::jit::Module* module() override { return &module_; }

 private:
  torch::jit::Module module_;
  const c10::Device device_;
  const bool keeps_state_;
};

}  // namespace

absl::Status InvalidArchitecture(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "ARCHITECTURE_INVALID");
}

absl::StatusOr<std::unique_ptr<Architecture>> LoadTorchScript(const std::string& path,
                                                              c10::Device device) {
  auto module = Guard("loading", [&]() -> absl::StatusOr<torch::jit::Module> {
    return torch::jit::load(path, device);
  });
  if (!module.ok()) {
    if (absl::IsResourceExhausted(module.status())) return module.status();
    return InvalidArchitecture(absl::StrCat(
        "not a TorchScript module (torch.jit.save writes one): ", module.status().message()));
  }
  if (!module->find_method("forward").has_value()) {
    return InvalidArchitecture("the TorchScript module has no method forward()");
  }
  return Guard("loading", [&]() -> absl::StatusOr<std::unique_ptr<Architecture>> {
    module->eval();
    if (device.is_cuda()) KeepShapeConstantsInMemory(*module);
    return std::make_unique<TorchScriptArchitecture>(*std::move(module), device);
  });
}

}  // namespace stockpot
