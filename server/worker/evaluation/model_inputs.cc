#include "server/worker/evaluation/model_inputs.h"

#include <ATen/Parallel.h>
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

constexpr int64_t kLeastCopy = 1 << 20;  // bytes that are worth the start of a thread
constexpr int64_t kMostCopy = 256 << 20;

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

std::vector<int64_t> BatchShape(const InputInfo& info, int64_t batch_size) {
  std::vector<int64_t> shape = info.shape;
  shape.insert(shape.begin(), batch_size);
  return shape;
}

// [examples, numbers], as numbers of 8 bytes where an example is so many: they are fewer to pick,
// and an index beyond 2^31 is slow. Else as bytes. In parts, so that what they pass through on
// their way to a card stays small.
at::Tensor CopyAll(const DataSet& data_set, size_t input, c10::Device device) {
  const InputInfo& info = data_set.inputs()[input];
  const bool wide = info.byte_count % sizeof(int64_t) == 0;
  const c10::ScalarType type = wide ? torch::kInt64 : torch::kUInt8;
  const auto numbers = static_cast<int64_t>(info.byte_count / c10::elementSize(type));
  at::Tensor all =
      torch::empty({data_set.size(), numbers}, torch::TensorOptions(type).device(device));
  const auto step = std::max<int64_t>(kMostCopy / static_cast<int64_t>(info.byte_count), 1);
  for (int64_t first = 0; first < data_set.size(); first += step) {
    const int64_t count = std::min(step, data_set.size() - first);
    auto* const bytes = const_cast<char*>(data_set.example(input, first));
    all.narrow(0, first, count).copy_(torch::from_blob(bytes, {count, numbers}, type));
  }
  return all;
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
  for (const c10::Argument& argument : arguments) {
    if (argument.default_value().has_value() || given.contains(argument.name())) continue;
    return InputMismatch("no input is bound to argument '", argument.name(),
                         "' of forward(); its arguments: ", NamesOf(arguments),
                         "; the data set's inputs: ", NamesOf(data_set_->inputs()));
  }
  return absl::OkStatus();
}

void ModelInputs::KeepOnDevice(ResidentTensors* resident) {
  for (Bound& bound : bound_) {
    const InputInfo& info = data_set_->inputs()[bound.input];
    if (info.byte_count == 0) continue;
    std::string key = absl::StrCat("data/", data_set_->digest(), "/", bound.input);
    auto kept = resident->Find(key);
    if (kept == nullptr) {
      if (!resident->MakeRoom(static_cast<size_t>(data_set_->size()) * info.byte_count)) continue;
      kept = resident->Keep(std::move(key), {CopyAll(*data_set_, bound.input, device_)});
    }
    bound.all = kept->front();
  }
}

at::Tensor ModelInputs::Read(const Bound& bound, absl::Span<const int64_t> examples,
                             int64_t batch_size) const {
  const auto example_at = [&](int64_t i) {
    return examples[std::min(static_cast<size_t>(i), examples.size() - 1)];
  };
  const InputInfo& info = data_set_->inputs()[bound.input];
  if (bound.all.defined()) {
    at::Tensor indices = torch::empty(
        {batch_size}, torch::TensorOptions(torch::kInt64).pinned_memory(device_.is_cuda()));
    auto* const index = indices.mutable_data_ptr<int64_t>();
    for (int64_t i = 0; i < batch_size; ++i) index[i] = example_at(i);
    return bound.all.index_select(0, indices.to(device_, /*non_blocking=*/true))
        .view(ToScalarType(info.dtype))
        .view(BatchShape(info, batch_size));
  }
  const auto size = static_cast<int64_t>(info.byte_count);
  at::Tensor batch =
      torch::empty(BatchShape(info, batch_size),
                   torch::TensorOptions(ToScalarType(info.dtype)).pinned_memory(device_.is_cuda()));
  if (size == 0) return batch.to(device_);
  auto* const bytes = static_cast<char*>(batch.mutable_data_ptr());
  at::parallel_for(0, batch_size, std::max<int64_t>(kLeastCopy / size, 1),
                   [&](int64_t i, int64_t end) {
                     for (; i < end; ++i) {
                       std::memcpy(bytes + i * size, data_set_->example(bound.input, example_at(i)),
                                   info.byte_count);
                     }
                   });
  return batch.to(device_, /*non_blocking=*/true);
}

Arguments ModelInputs::Batch(absl::Span<const int64_t> examples, int64_t batch_size) const {
  Arguments arguments;
  for (const Bound& bound : bound_) {
    at::Tensor value = Read(bound, examples, batch_size);
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
    absl::StrAppend(
        out, info.name, " ",
        TypeAndShape(bound.to_float ? DType::kFloat32 : info.dtype, BatchShape(info, batch_size)));
  });
}

}  // namespace stockpot
