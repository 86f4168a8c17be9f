#include "server/worker/evaluation/model_inputs.h"

#include <torch/torch.h>

#include <algorithm>
#include <cstring>
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
                                                c10::Device device) {
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
  RETURN_IF_ERROR(inputs.CheckArguments(forward));
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
  for (const c10::Argument& argument : arguments) {
    if (argument.default_value().has_value() || given.contains(argument.name())) continue;
    return InputMismatch("no input is bound to argument '", argument.name(),
                         "' of forward(); its arguments: ", NamesOf(arguments),
                         "; the data set's inputs: ", NamesOf(data_set_->inputs()));
  }
  return absl::OkStatus();
}

at::Tensor ModelInputs::Read(size_t input, absl::Span<const int64_t> examples,
                             int64_t batch_size) const {
  const InputInfo& info = data_set_->inputs()[input];
  std::vector<int64_t> shape = info.shape;
  shape.insert(shape.begin(), batch_size);
  at::Tensor batch = torch::empty(
      shape, torch::TensorOptions(ToScalarType(info.dtype)).pinned_memory(device_.is_cuda()));
  auto* bytes = static_cast<char*>(batch.mutable_data_ptr());
  const size_t size = info.byte_count;
  if (size == 0) return batch;
  for (size_t i = 0; i < static_cast<size_t>(batch_size); ++i) {
    const int64_t example = examples[std::min(i, examples.size() - 1)];
    std::memcpy(bytes + i * size, data_set_->example(input, example), size);
  }
  return batch;
}

Arguments ModelInputs::Batch(absl::Span<const int64_t> examples, int64_t batch_size) const {
  Arguments arguments;
  for (const Bound& bound : bound_) {
    at::Tensor value = Read(bound.input, examples, batch_size).to(device_, /*non_blocking=*/true);
    if (bound.to_float) value = value.to(torch::kFloat32);
    if (bound.divisor.defined()) value.div_(bound.divisor);
    if (bound.mean.defined()) value.sub_(bound.mean).div_(bound.std);
    if (bound.argument.empty()) {
      arguments.positional.emplace_back(std::move(value));
    } else {
      arguments.named.emplace(bound.argument, std::move(value));
    }
  }
  return arguments;
}

std::string ModelInputs::Describe(int64_t batch_size) const {
  return absl::StrJoin(bound_, ", ", [&](std::string* out, const Bound& bound) {
    const InputInfo& info = data_set_->inputs()[bound.input];
    std::vector<int64_t> shape = info.shape;
    shape.insert(shape.begin(), batch_size);
    absl::StrAppend(out, info.name, " ",
                    TypeAndShape(bound.to_float ? DType::kFloat32 : info.dtype, shape));
  });
}

}  // namespace stockpot
