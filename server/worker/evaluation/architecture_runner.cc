#include "server/worker/evaluation/architecture_runner.h"

#include <ATen/Parallel.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/name_pattern.h"
#include "server/base/status.h"
#include "server/worker/evaluation/batch_norm_layers.h"
#include "server/worker/evaluation/compiled_package.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/torch_device.h"
#include "server/worker/evaluation/torch_dtype.h"
#include "server/worker/soup/blend_coefficients.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {
namespace {

// On every thread that LibTorch computes with.
void InParallel(int64_t blocks, absl::FunctionRef<void(int64_t from, int64_t to)> work) {
  constexpr int64_t kLeastBlocks = 16;  // what is worth the start of a thread
  at::parallel_for(0, blocks, kLeastBlocks, work);
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> Runner::Load(const std::string& path,
                                                     const std::string& device,
                                                     bool may_be_compiled) {
  ASSIGN_OR_RETURN(const c10::Device opened, OpenTorchDevice(device));
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return ErrnoStatus(errno, "opening the architecture");
  const bool compiled = IsCompiledPackage(path);
  if (compiled && !may_be_compiled) {
    return WithReason(
        absl::PermissionDeniedError(
            "it is an AOTInductor package, which is machine code that can do all that the worker "
            "can; the operator allows those that are trusted with "
            "--allowed_compiled_architecture_prefix"),
        "ARCHITECTURE_NOT_ALLOWED");
  }
  ASSIGN_OR_RETURN(auto architecture,
                   compiled ? LoadCompiled(path, opened) : LoadTorchScript(path, opened));
  return ArchitectureRunner::Create(std::move(architecture), opened);
}

absl::StatusOr<std::unique_ptr<Runner>> ArchitectureRunner::Create(
    std::unique_ptr<Architecture> architecture, c10::Device device) {
  return Guard("loading", [&]() -> absl::StatusOr<std::unique_ptr<Runner>> {
    auto runner = std::unique_ptr<ArchitectureRunner>(
        new ArchitectureRunner(std::move(architecture), device));
    RETURN_IF_ERROR(runner->ReadSlots());
    return std::unique_ptr<Runner>(std::move(runner));
  });
}

ArchitectureRunner::ArchitectureRunner(std::unique_ptr<Architecture> architecture,
                                       c10::Device device)
    : architecture_(std::move(architecture)),
      device_(device),
      device_info_(DescribeDevice(device)),
      // The other half is for what runs.
      resident_(FreeMemoryOf(device) / 2) {
  if (device.is_cuda()) device_blend_.emplace(device, &resident_);
}

absl::Status ArchitectureRunner::ReadSlots() {
  std::map<std::string, Architecture::Tensor> by_name;
  for (Architecture::Tensor& tensor : architecture_->Tensors()) {
    std::string name = tensor.name;
    by_name.insert_or_assign(std::move(name), std::move(tensor));
  }
  if (const torch::jit::Module* const module = architecture_->module()) {
    for (const auto& layer : FindBatchNormLayers(*module)) batch_norms_.push_back(layer.name);
  }
  for (const auto& [name, tensor] : by_name) {
    RETURN_IF_ERROR(AddSlot(name, tensor.value, tensor.is_buffer));
  }
  FindTies();
  return absl::OkStatus();
}

absl::Status ArchitectureRunner::AddSlot(const std::string& name, const at::Tensor& tensor,
                                         bool is_buffer) {
  const std::optional<DType> dtype = FromScalarType(tensor.scalar_type());
  if (!dtype.has_value() || tensor.layout() != c10::kStrided || tensor.is_quantized()) {
    return InvalidArchitecture(absl::StrCat("tensor '", name, "' is ",
                                            c10::toString(tensor.scalar_type()),
                                            ": only dense real tensors can be souped"));
  }
  Slot slot;
  slot.tensor = tensor.detach();
  if (is_buffer) {
    buffers_.push_back(name);
    slot.original = slot.tensor.clone();
    slot.may_be_missing = true;
  } else {
    slot.parameter = tensor;
  }
  weight_bytes_ += static_cast<int64_t>(tensor.nbytes());
  tensors_.push_back({name, *dtype, tensor.sizes().vec()});
  slots_.push_back(std::move(slot));
  return absl::OkStatus();
}

bool ArchitectureRunner::AllowMissing(const std::vector<std::string>& patterns) {
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    if (!slot.parameter.defined()) continue;
    slot.may_be_missing = MatchesAny(patterns, tensors_[i].name);
    if (!slot.may_be_missing || slot.original.defined()) continue;
    if (slot.overwritten) return false;
    slot.original = slot.tensor.clone();
  }
  return true;
}

absl::Status ArchitectureRunner::TensorMismatch(const std::string& tensor, absl::string_view what) {
  return WithMetadata(
      WithReason(absl::InvalidArgumentError(absl::StrCat("tensor '", tensor, "' ", what)),
                 "CHECKPOINT_MISMATCH"),
      "tensor", tensor);
}

absl::Status ArchitectureRunner::CheckNames(const std::vector<TensorInfo>& given) const {
  for (const TensorInfo& tensor : given) {
    const std::optional<size_t> index = FindTensor(tensors_, tensor.name);
    if (!index.has_value()) return TensorMismatch(tensor.name, "is not in the architecture");
    const TensorInfo& own = tensors_[*index];
    if (own.shape != tensor.shape) {
      return TensorMismatch(
          tensor.name,
          absl::StrCat("is ", TypeAndShape(tensor.dtype, tensor.shape),
                       ", but the architecture expects ", TypeAndShape(own.dtype, own.shape)));
    }
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    if (!slots_[i].may_be_missing && !FindTensor(given, tensors_[i].name).has_value() &&
        !HasTied(slots_[i], given)) {
      return TensorMismatch(tensors_[i].name, "is missing");
    }
  }
  return absl::OkStatus();
}

absl::Status ArchitectureRunner::CheckBlend(Ingredients ingredients,
                                            absl::Span<const double> coefficients) const {
  if (ingredients.empty()) return absl::InvalidArgumentError("a blend of no ingredients");
  const std::vector<TensorInfo>& given = ingredients[0]->tensors();
  RETURN_IF_ERROR(CheckNames(given));
  for (size_t i = 1; i < ingredients.size(); ++i) {
    RETURN_IF_ERROR(CheckCompatible(given, ingredients[i]->tensors()));
  }
  for (const auto& ingredient : ingredients) RETURN_IF_ERROR(CheckTies(ingredient));
  return CheckCoefficients(coefficients.size(), ingredients.size(), given.size());
}

absl::Status ArchitectureRunner::SetWeights(Ingredients ingredients,
                                            absl::Span<const double> coefficients,
                                            std::optional<DType> dtype) {
  RETURN_IF_ERROR(CheckBlend(ingredients, coefficients));
  at::init_num_threads();
  return WriteBlend(ingredients, coefficients, [dtype](DType) { return dtype; });
}

absl::Status ArchitectureRunner::WriteBlend(Ingredients ingredients,
                                            absl::Span<const double> coefficients,
                                            const DTypeOf& dtype_of) {
  const c10::InferenceMode inference;
  const auto write = [&] {
    return Guard("writing the weights",
                 [&] { return WriteSlots(ingredients, coefficients, dtype_of); });
  };
  absl::Status status = write();
  if (absl::IsResourceExhausted(status) && GiveUpResident()) status = write();
  return status;
}

absl::Status ArchitectureRunner::WriteSlots(Ingredients ingredients,
                                            absl::Span<const double> coefficients,
                                            const DTypeOf& dtype_of) {
  const std::vector<TensorInfo>& given = ingredients[0]->tensors();
  std::vector<DeviceBlend::Wanted> on_device;
  // Not beside a card's, which makes nearly all: sums must be of every tensor.
  const bool in_memory = !device_blend_.has_value();
  if (in_memory) sums_.Begin(ingredients, coefficients);
  for (size_t i = 0; i < slots_.size(); ++i) {
    Slot& slot = slots_[i];
    const std::optional<size_t> index = FindTensor(given, tensors_[i].name);
    if (!index.has_value()) {
      if (!HasTied(slot, given)) slot.tensor.copy_(slot.original);
      continue;
    }
    slot.overwritten = true;
    const DType stored = given[*index].dtype;
    const DType rounded = BlendDType(stored, dtype_of(stored));
    if (!in_memory && DeviceBlend::CanMake(stored, rounded)) {
      on_device.push_back({*index, rounded, slot.tensor});
      continue;
    }
    RETURN_IF_ERROR(
        Annotate(Write(ingredients,
                       CoefficientsOfTensor(coefficients, ingredients.size(), given.size(), *index),
                       *index, dtype_of(stored), &slot.tensor),
                 absl::StrCat("tensor '", given[*index].name, "'")));
  }
  if (in_memory) sums_.End();
  if (on_device.empty()) return absl::OkStatus();
  return device_blend_->Write(ingredients, coefficients, on_device);
}

bool ArchitectureRunner::GiveUpResident() {
  if (!device_blend_.has_value()) return false;
  device_blend_.reset();
  resident_.GiveUp();
  ReleaseUnusedMemory();
  return true;
}

absl::Status ArchitectureRunner::Write(Ingredients ingredients,
                                       absl::Span<const double> coefficients, size_t index,
                                       std::optional<DType> dtype, at::Tensor* target) {
  const TensorInfo& stored = ingredients[0]->tensors()[index];
  const c10::ScalarType type = ToScalarType(BlendDType(stored.dtype, dtype));
  const bool direct = target->is_cpu() && target->scalar_type() == type && target->is_contiguous();
  // Pinned, so that the copy to a card does not go through another buffer.
  at::Tensor blend =
      direct ? *target
             : torch::empty(target->sizes(),
                            torch::TensorOptions(type).pinned_memory(target->is_cuda()));
  auto* bytes = static_cast<char*>(blend.mutable_data_ptr());
  RETURN_IF_ERROR(BlendTensor(ingredients, coefficients, index, dtype,
                              absl::MakeSpan(bytes, static_cast<size_t>(blend.nbytes())),
                              device_blend_.has_value() ? KeptSum() : sums_.Of(index), InParallel));
  // The card's stream orders the copy before what runs next, and torch keeps the pinned memory
  // until then.
  if (!direct) target->copy_(blend, /*non_blocking=*/target->is_cuda());
  return absl::OkStatus();
}

}  // namespace stockpot
