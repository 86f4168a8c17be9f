#include "server/worker/evaluation/torchscript_runner.h"

#include <ATen/Parallel.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <numeric>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/name_pattern.h"
#include "server/base/status.h"
#include "server/worker/evaluation/batch_norm_layers.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/logits.h"
#include "server/worker/evaluation/precision_scope.h"
#include "server/worker/evaluation/shape_constants.h"
#include "server/worker/evaluation/torch_device.h"
#include "server/worker/evaluation/torch_dtype.h"
#include "server/worker/soup/blend_coefficients.h"
#include "server/worker/soup/blend_weights.h"

namespace stockpot {
namespace {

absl::Status InvalidArchitecture(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "ARCHITECTURE_INVALID");
}

absl::Status TensorMismatch(const std::string& tensor, absl::string_view what) {
  return WithMetadata(
      WithReason(absl::InvalidArgumentError(absl::StrCat("tensor '", tensor, "' ", what)),
                 "CHECKPOINT_MISMATCH"),
      "tensor", tensor);
}

// On every thread that LibTorch computes with.
void InParallel(int64_t blocks, absl::FunctionRef<void(int64_t from, int64_t to)> work) {
  constexpr int64_t kLeastBlocks = 16;  // what is worth the start of a thread
  at::parallel_for(0, blocks, kLeastBlocks, work);
}

// The first `count` rows of `logits` [batch, classes] or [batch, length, classes].
absl::Status NextBatch(const at::Tensor& logits, int64_t first, int64_t count, OutputBatch* batch) {
  const int64_t classes = logits.size(-1);
  if (first > 0 && classes != batch->classes) {
    return WithReason(absl::InvalidArgumentError(absl::StrCat(
                          "the model gives ", classes, " logits for the batch at example ", first,
                          ", but ", batch->classes, " before")),
                      "MODEL_OUTPUT_MISMATCH");
  }
  batch->first = first;
  batch->count = count;
  batch->length = logits.dim() == 3 ? logits.size(1) : 1;
  batch->classes = classes;
  batch->values = {logits.const_data_ptr<float>(),
                   static_cast<size_t>(count * batch->length * classes)};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::unique_ptr<Runner>> Runner::Load(const std::string& path,
                                                     const std::string& device) {
  ASSIGN_OR_RETURN(const c10::Device opened, OpenTorchDevice(device));
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return ErrnoStatus(errno, "opening the architecture");
  auto module = Guard("loading", [&]() -> absl::StatusOr<torch::jit::Module> {
    return torch::jit::load(path, opened);
  });
  if (!module.ok()) {
    if (absl::IsResourceExhausted(module.status())) return module.status();
    return InvalidArchitecture(absl::StrCat(
        "not a TorchScript module (torch.jit.save writes one): ", module.status().message()));
  }
  return TorchScriptRunner::Create(*std::move(module), opened);
}

absl::StatusOr<std::unique_ptr<Runner>> TorchScriptRunner::Create(torch::jit::Module module,
                                                                  c10::Device device) {
  if (!module.find_method("forward").has_value()) {
    return InvalidArchitecture("the TorchScript module has no method forward()");
  }
  return Guard("loading", [&]() -> absl::StatusOr<std::unique_ptr<Runner>> {
    module.eval();
    if (device.is_cuda()) KeepShapeConstantsInMemory(module);
    auto runner =
        std::unique_ptr<TorchScriptRunner>(new TorchScriptRunner(std::move(module), device));
    RETURN_IF_ERROR(runner->ReadSlots());
    return std::unique_ptr<Runner>(std::move(runner));
  });
}

TorchScriptRunner::TorchScriptRunner(torch::jit::Module module, c10::Device device)
    : module_(std::move(module)),
      device_(device),
      device_info_(DescribeDevice(device)),
      // The other half is for what runs.
      resident_(FreeMemoryOf(device) / 2) {
  if (device.is_cuda()) device_blend_.emplace(device, &resident_);
}

absl::Status TorchScriptRunner::ReadSlots() {
  std::map<std::string, std::pair<at::Tensor, bool>> by_name;
  for (const auto& parameter : module_.named_parameters()) {
    by_name[parameter.name] = {parameter.value, false};
  }
  for (const auto& buffer : module_.named_buffers()) by_name[buffer.name] = {buffer.value, true};
  for (const auto& layer : FindBatchNormLayers(module_)) batch_norms_.push_back(layer.name);
  for (const auto& [name, value] : by_name) {
    RETURN_IF_ERROR(AddSlot(name, value.first, value.second));
  }
  return absl::OkStatus();
}

absl::Status TorchScriptRunner::AddSlot(const std::string& name, const at::Tensor& tensor,
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
  tensors_.push_back({name, *dtype, tensor.sizes().vec()});
  slots_.push_back(std::move(slot));
  return absl::OkStatus();
}

bool TorchScriptRunner::AllowMissing(const std::vector<std::string>& patterns) {
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

absl::Status TorchScriptRunner::CheckNames(const std::vector<TensorInfo>& given) const {
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
    if (!slots_[i].may_be_missing && !FindTensor(given, tensors_[i].name).has_value()) {
      return TensorMismatch(tensors_[i].name, "is missing");
    }
  }
  return absl::OkStatus();
}

absl::Status TorchScriptRunner::CheckBlend(Ingredients ingredients,
                                           absl::Span<const double> coefficients) const {
  if (ingredients.empty()) return absl::InvalidArgumentError("a blend of no ingredients");
  const std::vector<TensorInfo>& given = ingredients[0]->tensors();
  RETURN_IF_ERROR(CheckNames(given));
  for (size_t i = 1; i < ingredients.size(); ++i) {
    RETURN_IF_ERROR(CheckCompatible(given, ingredients[i]->tensors()));
  }
  return CheckCoefficients(coefficients.size(), ingredients.size(), given.size());
}

absl::Status TorchScriptRunner::SetWeights(Ingredients ingredients,
                                           absl::Span<const double> coefficients,
                                           std::optional<DType> dtype) {
  RETURN_IF_ERROR(CheckBlend(ingredients, coefficients));
  at::init_num_threads();
  return WriteBlend(ingredients, coefficients, [dtype](DType) { return dtype; });
}

absl::Status TorchScriptRunner::WriteBlend(Ingredients ingredients,
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

absl::Status TorchScriptRunner::WriteSlots(Ingredients ingredients,
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
      slot.tensor.copy_(slot.original);
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

bool TorchScriptRunner::GiveUpResident() {
  if (!device_blend_.has_value()) return false;
  device_blend_.reset();
  resident_.GiveUp();
  ReleaseUnusedMemory();
  return true;
}

absl::Status TorchScriptRunner::Write(Ingredients ingredients,
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

// A batch that runs, or has run.
struct TorchScriptRunner::Launched {
  absl::Span<const int64_t> examples;
  at::Tensor logits;               // in memory; of a card's batch once it is done
  std::optional<c10::Event> done;  // none: it is done
};

absl::Status TorchScriptRunner::Run(const DataSet& data_set, const MeasureOptions& options,
                                    const OutputSink& sink) {
  if (options.batch_size < 1) return absl::InvalidArgumentError("the batch size must be positive");
  RETURN_IF_ERROR(CheckPrecision(device_, options.precision));
  std::vector<int64_t> all;
  if (options.order.empty()) {
    all.resize(static_cast<size_t>(data_set.size()));
    std::iota(all.begin(), all.end(), 0);
  }
  const absl::Span<const int64_t> order = options.order.empty() ? all : options.order;
  RunState state;
  const auto run = [&] {
    return Guard("running the model", [&]() -> absl::Status {
      at::init_num_threads();
      const c10::InferenceMode inference;
      const PrecisionScope precision(device_, options.precision);
      return RunBatches(data_set, options, order, sink, &state);
    });
  };
  absl::Status status = run();
  // What the sink was given once it must not be given again.
  if (absl::IsResourceExhausted(status) && !state.handing_on && GiveUpResident()) status = run();
  return status;
}

absl::Status TorchScriptRunner::RunBatches(const DataSet& data_set, const MeasureOptions& options,
                                           absl::Span<const int64_t> order, const OutputSink& sink,
                                           RunState* state) {
  const torch::jit::Method forward = module_.get_method("forward");
  ASSIGN_OR_RETURN(const ModelInputs inputs,
                   ModelInputs::Create(forward.function().getSchema(), data_set, options.inputs,
                                       device_, &resident_));
  ASSIGN_OR_RETURN(const OutputMapping mapping, OutputMapping::Create(options.outputs, device_));
  std::optional<Launched> running;
  for (size_t first = static_cast<size_t>(state->next); first < order.size();) {
    const auto examples = order.subspan(first, static_cast<size_t>(options.batch_size));
    auto launched = Launch(examples, inputs, mapping, options);
    if (!launched.ok()) {
      return Annotate(launched.status(),
                      absl::StrCat("model given ", inputs.Describe(options.batch_size)));
    }
    // A card runs one batch while the outputs of the one before are scored.
    if (running.has_value()) RETURN_IF_ERROR(Finish(*running, options, sink, state));
    running.reset();
    if (launched->done.has_value()) {
      running = *std::move(launched);
    } else {
      RETURN_IF_ERROR(Finish(*launched, options, sink, state));
    }
    first += examples.size();
  }
  return running.has_value() ? Finish(*running, options, sink, state) : absl::OkStatus();
}

absl::StatusOr<TorchScriptRunner::Launched> TorchScriptRunner::Launch(
    absl::Span<const int64_t> examples, const ModelInputs& inputs, const OutputMapping& mapping,
    const MeasureOptions& options) {
  ASSIGN_OR_RETURN(const at::Tensor logits,
                   Forward(inputs.Batch(examples, options.batch_size), options, mapping));
  Launched launched{examples, logits.contiguous(), std::nullopt};
  if (!device_.is_cuda()) return launched;
  launched.logits =
      torch::empty(logits.sizes(), torch::TensorOptions(logits.scalar_type()).pinned_memory(true));
  launched.logits.copy_(logits, /*non_blocking=*/true);
  launched.done.emplace(device_.type());
  launched.done->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return launched;
}

absl::Status TorchScriptRunner::Finish(const Launched& launched, const MeasureOptions& options,
                                       const OutputSink& sink, RunState* state) {
  state->handing_on = true;
  if (launched.done.has_value()) launched.done->synchronize();
  const auto count = static_cast<int64_t>(launched.examples.size());
  state->batch.examples = launched.examples;
  RETURN_IF_ERROR(NextBatch(launched.logits, state->next, count, &state->batch));
  state->next += count;
  RETURN_IF_ERROR(sink(state->batch));
  if (options.progress) RETURN_IF_ERROR(options.progress(state->next));
  state->handing_on = false;
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> TorchScriptRunner::Forward(Arguments arguments,
                                                      const MeasureOptions& options,
                                                      const OutputMapping& mapping) const {
  return Guard("forward()", [&]() -> absl::StatusOr<at::Tensor> {
    const c10::IValue output =
        module_.get_method("forward")(std::move(arguments.positional), arguments.named);
    return FindLogits(output, options.batch_size, options.outputs.problem, mapping);
  });
}

}  // namespace stockpot
