// Machine code that AOTInductor made of a model, with weights that stay ours.
#include <torch/csrc/inductor/aoti_package/model_package_loader.h>

#include <unordered_map>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/architecture.h"
#include "server/worker/evaluation/compiled_package.h"
#include "server/worker/evaluation/cuda_driver.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/torch_dtype.h"

namespace stockpot {
namespace {

using torch::inductor::AOTIModelPackageLoader;

constexpr char kModel[] = "model";  // the name that a package's only model has
using Constants = std::unordered_map<std::string, at::Tensor>;

// Constants of the program's own, which no checkpoint has.
bool IsLifted(absl::string_view name) {
  return absl::StartsWith(name, "_tensor_constant") || absl::StartsWith(name, "lifted_tensor");
}

class CompiledArchitecture final : public Architecture {
 public:
  CompiledArchitecture(std::unique_ptr<AOTIModelPackageLoader> loader, c10::FunctionSchema schema)
      : loader_(std::move(loader)), schema_(std::move(schema)) {}

  std::vector<Tensor> Tensors() const override { return tensors_; }
  const c10::FunctionSchema& schema() const override { return schema_; }
  // The shapes are the compiler's to choose.
  bool runs_at_once() const override { return false; }
  torch::jit::Module* module() override { return nullptr; }

  absl::Status CheckComputation(Precision precision, bool channels_last) const override {
    if (channels_last) {
      return WithReason(absl::FailedPreconditionError(
                            "a compiled architecture lays its images as it was compiled: leave "
                            "compute.channels_last out"),
                        "CHANNELS_LAST_UNSUPPORTED");
    }
    if (precision == Precision::kFloat32) return absl::OkStatus();
    return WithReason(
        absl::FailedPreconditionError(
            "a compiled architecture computes in the precision that it was compiled in: leave "
            "compute.precision out, and compile it in another (stockpot.export, precision=…)"),
        "PRECISION_UNSUPPORTED");
  }

  c10::IValue Forward(Arguments arguments) override {
    std::vector<at::Tensor> inputs;
    size_t position = 0;
    for (size_t i = 1; i < schema_.arguments().size(); ++i) {
      const auto named = arguments.named.find(schema_.arguments()[i].name());
      inputs.push_back(named != arguments.named.end()
                           ? named->second.toTensor()
                           : arguments.positional.at(position++).toTensor());
    }
    std::vector<at::Tensor> outputs = loader_->boxed_run(std::move(inputs));
    if (outputs.size() == 1) return std::move(outputs[0]);
    return c10::List<at::Tensor>(std::move(outputs));
  }

  // Memory of our own in place of the package's, which is given back: what is written there is what
  // the program reads, and no candidate is copied.
  void TakeConstants() {
    auto* const runner = loader_->get_runner();
    for (const auto& [name, tensor] : runner->extract_constants_map(/*use_inactive=*/false)) {
      constants_[name] = tensor.clone();
    }
    loader_->load_constants(constants_, /*use_inactive=*/true, /*check_full_update=*/true,
                            /*user_managed=*/true);
    runner->swap_constant_buffer();
    runner->free_inactive_constant_buffer();
  }

  absl::Status ListTensors(const std::optional<CompiledTensors>& table) {
    if (!table.has_value()) {
      for (const auto& [name, tensor] : constants_) {
        if (!IsLifted(name)) tensors_.push_back({name, tensor, /*is_buffer=*/false});
      }
      return absl::OkStatus();
    }
    // Of several names of one tensor the compiler knows any one.
    std::unordered_map<std::string, at::Tensor> found;
    for (const auto& [name, said] : *table) {
      const auto constant = constants_.find(name);
      if (constant == constants_.end()) continue;
      if (constant->second.sizes() != c10::IntArrayRef(said.shape)) {
        return InvalidArchitecture(absl::StrCat("the package's metadata stockpot.tensors has '",
                                                name, "' in another shape than its program"));
      }
      found[said.same_as.empty() ? name : said.same_as] = constant->second;
    }
    for (const auto& [name, said] : *table) {
      at::Tensor& own = found[said.same_as.empty() ? name : said.same_as];
      // Not used by the program: it has a place all the same, so that it is known.
      if (!own.defined()) own = torch::zeros(said.shape, ToScalarType(said.dtype));
      tensors_.push_back({name, own, said.is_buffer});
    }
    return absl::OkStatus();
  }

 private:
  const std::unique_ptr<AOTIModelPackageLoader> loader_;
  const c10::FunctionSchema schema_;
  Constants constants_;
  std::vector<Tensor> tensors_;
};

absl::StatusOr<std::unique_ptr<Architecture>> Open(const std::string& path, c10::Device device) {
  const PackageMetadata metadata = AOTIModelPackageLoader::load_metadata_from_package(path, kModel);
  RETURN_IF_ERROR(CheckCompiledFor(metadata, device));
  ASSIGN_OR_RETURN(const auto table, ParseCompiledTensors(metadata));
  OpenTorchShell();
  // A program on a card waits for its last run before it begins another: of two, one begins while
  // the other runs. They share their constants.
  const size_t programs = device.is_cuda() ? 2 : 1;
  // The way for one thread alone loses the constants when they are swapped (LibTorch 2.11).
  auto loader = std::make_unique<AOTIModelPackageLoader>(
      path, kModel, /*run_single_threaded=*/false, programs, device.index());
  const std::vector<std::string> call = loader->get_call_spec();
  if (call.empty()) return InvalidArchitecture("the package does not say what its inputs are");
  ASSIGN_OR_RETURN(c10::FunctionSchema schema, ParseArguments(call[0], metadata));
  auto architecture = std::make_unique<CompiledArchitecture>(std::move(loader), std::move(schema));
  architecture->TakeConstants();
  RETURN_IF_ERROR(architecture->ListTensors(table));
  return std::unique_ptr<Architecture>(std::move(architecture));
}

}  // namespace

absl::StatusOr<std::unique_ptr<Architecture>> LoadCompiled(const std::string& path,
                                                           c10::Device device) {
  auto opened = Guard("loading", [&] { return Open(path, device); });
  if (opened.ok() || !absl::IsInternal(opened.status())) return opened;
  return InvalidArchitecture(
      absl::StrCat("the AOTInductor package cannot be loaded: ", opened.status().message()));
}

}  // namespace stockpot
