// The half of architecture_runner.h that runs the model over a data set.
#include <ATen/Parallel.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/architecture_runner.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/logits.h"
#include "server/worker/evaluation/precision_scope.h"

namespace stockpot {
namespace {

// A CPU's convolutions may be faster so (README's table). A card makes matrix products of
// convolutions in 16 bits only where images lie like this: the first layer of a ViT-B/32 in
// bfloat16 was a sixth of its time without.
void LayChannelsLast(Arguments* arguments) {
  const auto lay = [](c10::IValue& value) {
    const at::Tensor& tensor = value.toTensor();
    if (tensor.dim() == 4 && tensor.is_floating_point()) {
      value = tensor.contiguous(at::MemoryFormat::ChannelsLast);
    }
  };
  for (c10::IValue& value : arguments->positional) lay(value);
  for (auto& [name, value] : arguments->named) lay(value);
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

// Tells the data set what will be read after the first `done` examples.
std::shared_ptr<const void> WillBring(const DataSet& data_set, const BatchPlan& plan,
                                      int64_t done) {
  if (!data_set.is_streamed()) return nullptr;
  std::vector<int64_t> order;
  for (const BatchPlan::Batch& batch : plan.batches()) {
    order.insert(order.end(), batch.examples.begin(), batch.examples.end());
  }
  order.erase(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(done));
  return data_set.WillBring(order);
}

}  // namespace

absl::Status ArchitectureRunner::Run(const DataSet& data_set, const MeasureOptions& options,
                                     const OutputSink& sink) {
  if (options.batch_size < 1) return absl::InvalidArgumentError("the batch size must be positive");
  RETURN_IF_ERROR(architecture_->CheckComputation(options.precision, options.channels_last));
  RunState state;
  const auto run = [&] {
    return Guard("running the model", [&]() -> absl::Status {
      at::init_num_threads();
      const c10::InferenceMode inference;
      const PrecisionScope precision(device_, options.precision);
      return RunBatches(data_set, options, sink, &state);
    });
  };
  absl::Status status = run();
  // What the sink was given once it must not be given again.
  if (absl::IsResourceExhausted(status) && !state.handing_on && GiveUpResident()) status = run();
  // Also where the sink has seen enough: what it saw must have been the data set's.
  RETURN_IF_ERROR(data_set.CheckUnchanged());
  return status;
}

absl::Status ArchitectureRunner::RunBatches(const DataSet& data_set, const MeasureOptions& options,
                                            const OutputSink& sink, RunState* state) {
  ASSIGN_OR_RETURN(
      const ModelInputs inputs,
      ModelInputs::Create(architecture_->schema(), data_set, options.inputs, device_, &resident_));
  ASSIGN_OR_RETURN(const OutputMapping mapping, OutputMapping::Create(options.outputs, device_));
  const Pass pass{data_set, inputs, mapping, options, sink};
  int64_t most_bytes = 0;
  const auto most_rows = [&](int64_t example, int64_t length) {
    const Cut cut = CutFor(pass, example, length);
    most_bytes =
        std::max(most_bytes, cut.bytes_of_one * std::min<int64_t>(cut.rows, options.batch_size));
    return cut.rows;
  };
  const BatchPlan plan(data_set, options.order, options.batch_size, inputs.masks_padding(),
                       most_rows);
  const auto ahead = WillBring(data_set, plan, state->next);
  const int lanes = LanesFor(plan, most_bytes);
  // With channels last, GroupNorm's bits depend on how many threads divide it: there none do.
  if (lanes > 1 || (options.channels_last && most_bytes > 0)) {
    return RunInLanes(pass, plan, lanes, state);
  }
  std::optional<Launched> running;
  int64_t planned = 0;
  for (const BatchPlan::Batch& batch : plan.batches()) {
    planned += static_cast<int64_t>(batch.examples.size());
    if (planned <= state->next) continue;  // before memory ran out
    RETURN_IF_ERROR(data_set.Bring(batch.examples));
    ASSIGN_OR_RETURN(Launched launched, Launch(batch, ArgumentsOf(batch, pass), pass));
    // A card runs one batch while the outputs of the one before are scored.
    if (running.has_value()) RETURN_IF_ERROR(Finish(*running, pass, state));
    running.reset();
    if (launched.done.has_value()) {
      running = std::move(launched);
    } else {
      RETURN_IF_ERROR(Finish(launched, pass, state));
    }
  }
  return running.has_value() ? Finish(*running, pass, state) : absl::OkStatus();
}

absl::StatusOr<ArchitectureRunner::Launched> ArchitectureRunner::Launch(
    const BatchPlan::Batch& batch, Arguments arguments, const Pass& pass) const {
  const absl::StatusOr<at::Tensor> forward = Forward(std::move(arguments), batch.rows, pass);
  if (!forward.ok()) {
    return Annotate(forward.status(),
                    absl::StrCat("model given ", pass.inputs.Describe(batch.rows, batch.length)));
  }
  const at::Tensor& logits = *forward;
  Launched launched{batch.examples, logits.contiguous(), std::nullopt};
  if (!device_.is_cuda()) return launched;
  launched.logits =
      torch::empty(logits.sizes(), torch::TensorOptions(logits.scalar_type()).pinned_memory(true));
  launched.logits.copy_(logits, /*non_blocking=*/true);
  launched.done.emplace(device_.type());
  launched.done->record(c10::impl::VirtualGuardImpl(device_.type()).getStream(device_));
  return launched;
}

absl::Status ArchitectureRunner::Finish(const Launched& launched, const Pass& pass,
                                        RunState* state) {
  state->handing_on = true;
  if (launched.done.has_value()) launched.done->synchronize();
  const auto count = static_cast<int64_t>(launched.examples.size());
  state->batch.examples = launched.examples;
  RETURN_IF_ERROR(NextBatch(launched.logits, state->next, count, &state->batch));
  state->next += count;
  RETURN_IF_ERROR(pass.sink(state->batch));
  if (pass.options.progress) RETURN_IF_ERROR(pass.options.progress(state->next));
  state->handing_on = false;
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> ArchitectureRunner::Forward(Arguments arguments, int64_t rows,
                                                       const Pass& pass) const {
  return Guard("forward()", [&]() -> absl::StatusOr<at::Tensor> {
    const MeasureOptions& options = pass.options;
    if (options.channels_last || (device_.is_cuda() && IsOf16Bits(options.precision))) {
      LayChannelsLast(&arguments);
    }
    const c10::IValue output = architecture_->Forward(std::move(arguments));
    return FindLogits(output, rows, options.outputs.problem, pass.mapping);
  });
}

}  // namespace stockpot
