#include "server/worker/evaluation/model_inputs.h"

#include <torch/torch.h>

#include <utility>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/status.h"
#include "server/worker/evaluation/torch_dtype.h"

namespace stockpot {
namespace {

template <typename... Parts>
absl::Status InputMismatch(const Parts&... parts) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat(parts...)), "MODEL_INPUT_MISMATCH");
}

std::string NamesOf(const std::vector<InputInfo>& inputs) {
  return absl::StrJoin(inputs, ", ", [](std::string* out, const InputInfo& input) {
    absl::StrAppend(out, "'", input.name, "'");
  });
}

// Without the module itself, which is the first.
c10::ArrayRef<c10::Argument> ArgumentsOf(const c10::FunctionSchema& forward) {
  return c10::ArrayRef<c10::Argument>(forward.arguments()).slice(1);
}

std::string NamesOf(c10::ArrayRef<c10::Argument> arguments) {
  return absl::StrJoin(arguments, ", ", [](std::string* out, const c10::Argument& argument) {
    absl::StrAppend(out, "'", argument.name(), "' (", argument.type()->annotation_str(), ")");
  });
}

bool IsImage(const InputInfo& input) {
  return input.dtype == DType::kUint8 && input.shape.size() == 3;
}

// [1, channels, 1, …] for a batch whose examples have `rank` dimensions.
at::Tensor PerChannel(const std::vector<float>& values, size_t rank, c10::Device device) {
  std::vector<int64_t> shape(rank + 1, 1);
  shape[1] = static_cast<int64_t>(values.size());
  return torch::tensor(values, torch::kFloat32).view(shape).to(device);
}

}  // namespace

absl::StatusOr<ModelInputs> ModelInputs::Create(const c10::FunctionSchema& forward,
                                                const DataSet& data_set,
                                                std::vector<InputBinding> bindings,
                                                c10::Device device, ResidentTensors* resident) {
  if (bindings.empty()) {
    if (data_set.inputs().size() != 1) {
      return InputMismatch("the data set has ", data_set.inputs().size(), " inputs (",
                           NamesOf(data_set.inputs()),
                           "): name in model.inputs which argument each becomes");
    }
    const InputInfo& only = data_set.inputs()[0];
    bindings.push_back({.data_set_input = only.name,
                        .argument = "",
                        .scale_to_unit = IsImage(only),
                        .mean = {},
                        .std = {}});
  }
  ModelInputs inputs(data_set, device);
  for (const InputBinding& binding : bindings) RETURN_IF_ERROR(inputs.Bind(binding));
  inputs.FindMask(forward);
  RETURN_IF_ERROR(inputs.CheckArguments(forward));
  if (resident != nullptr) inputs.KeepOnDevice(resident);
  return inputs;
}

absl::Status ModelInputs::Bind(const InputBinding& binding) {
  const std::vector<InputInfo>& inputs = data_set_->inputs();
  Bound bound;
  while (bound.input < inputs.size() && inputs[bound.input].name != binding.data_set_input) {
    ++bound.input;
  }
  if (bound.input == inputs.size()) {
    return InputMismatch("the data set has no input '", binding.data_set_input,
                         "'; it has: ", NamesOf(inputs));
  }
  const InputInfo& input = inputs[bound.input];
  bound.argument = binding.argument;
  const bool normalise = !binding.mean.empty() || !binding.std.empty();
  bound.to_float = binding.scale_to_unit || normalise || input.dtype == DType::kUint8;
  if (binding.scale_to_unit) {
    // A tensor on the device, because CUDA multiplies by the reciprocal of a number from the CPU.
    bound.divisor = torch::scalar_tensor(255, torch::kFloat32).to(device_);
  }
  if (normalise) {
    const size_t count = binding.mean.size();
    if (count != binding.std.size()) {
      return InputMismatch("input '", input.name, "': ", count, " means, but ", binding.std.size(),
                           " standard deviations");
    }
    if (input.shape.empty() || (count != 1 && static_cast<int64_t>(count) != input.shape[0])) {
      return InputMismatch("input '", input.name, "' is ", TypeAndShape(input.dtype, input.shape),
                           " per example: ", count, " means do not fit its channels");
    }
    bound.mean = PerChannel(binding.mean, input.shape.size(), device_);
    bound.std = PerChannel(binding.std, input.shape.size(), device_);
  }
  bound_.push_back(std::move(bound));
  return absl::OkStatus();
}

absl::Status ModelInputs::CheckArguments(const c10::FunctionSchema& forward) const {
  const auto arguments = ArgumentsOf(forward);
  absl::flat_hash_set<std::string> given;
  size_t position = 0;
  for (const Bound& bound : bound_) {
    std::string name = bound.argument;
    if (name.empty()) {
      if (position == arguments.size()) {
        return InputMismatch("more inputs are bound than forward() has arguments: ",
                             NamesOf(arguments));
      }
      name = arguments[position++].name();
    }
    bool known = false;
    for (const c10::Argument& argument : arguments) known = known || argument.name() == name;
    if (!known) {
      return InputMismatch("forward() has no argument '", name, "'; it has: ", NamesOf(arguments));
    }
    if (!given.insert(name).second) {
      return InputMismatch("argument '", name, "' of forward() is bound twice");
    }
  }
  if (makes_mask_) given.insert(kMask);
  for (const c10::Argument& argument : arguments) {
    if (argument.default_value().has_value() || given.contains(argument.name())) continue;
    return InputMismatch("no input is bound to argument '", argument.name(),
                         "' of forward(); its arguments: ", NamesOf(arguments),
                         "; the data set's inputs: ", NamesOf(data_set_->inputs()));
  }
  return absl::OkStatus();
}

bool ModelInputs::HasMaskUnbound(bool varies) const {
  const std::vector<InputInfo>& inputs = data_set_->inputs();
  for (size_t k = 0; k < inputs.size(); ++k) {
    bool is_bound = false;
    for (const Bound& bound : bound_) is_bound = is_bound || bound.input == k;
    if (!is_bound && (!varies || inputs[k].name == kMask)) return true;
  }
  return false;
}

void ModelInputs::FindMask(const c10::FunctionSchema& forward) {
  const auto arguments = ArgumentsOf(forward);
  bool varies = false, is_bound = false;
  size_t position = 0;
  for (const Bound& bound : bound_) {
    std::string name = bound.argument;
    if (name.empty() && position < arguments.size()) name = arguments[position++].name();
    const InputInfo& input = data_set_->inputs()[bound.input];
    varies = varies || input.varies();
    is_bound = is_bound || name == kMask;
    // Padded with something else it would not mask.
    masks_padding_ = masks_padding_ || (name == kMask && input.varies() && input.pad_value == 0);
    const bool tokens = !IsFloatingPoint(input.dtype) && input.shape.size() == 1;
    if (tokens && !input.varies()) mask_length_ = input.shape[0];
  }
  if (varies) mask_length_ = 0;
  if (is_bound || (!varies && mask_length_ == 0) || HasMaskUnbound(varies)) return;
  for (const c10::Argument& argument : arguments) {
    if (argument.name() != kMask) continue;
    makes_mask_ = varies || !argument.default_value().has_value();
  }
  masks_padding_ = makes_mask_;
}

absl::Status ModelInputs::CheckMixes() const {
  return masks_padding_ ? absl::OkStatus() : CheckNoneDiffers();
}

absl::Status ModelInputs::CheckNoneDiffers() const {
  for (const Bound& bound : bound_) {
    const InputInfo& input = data_set_->inputs()[bound.input];
    if (!input.varies()) continue;
    return InputMismatch("examples of input '", input.name,
                         "' differ in length: BatchNorm statistics would count padding, and to "
                         "learn from them a model needs an argument attention_mask; give them one "
                         "length when the data is prepared");
  }
  return absl::OkStatus();
}

}  // namespace stockpot
