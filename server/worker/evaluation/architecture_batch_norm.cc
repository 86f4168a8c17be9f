// BatchNorm statistics of an architecture, batch by batch.
#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/name_pattern.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/tensor_selection.h"
#include "server/worker/evaluation/architecture_runner.h"
#include "server/worker/evaluation/batch_norm_layers.h"
#include "server/worker/evaluation/batch_norm_options.h"
#include "server/worker/evaluation/fixed_threads.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/torch_dtype.h"

namespace stockpot {
namespace {

std::string TensorName(const BatchNormLayer& layer, absl::string_view tensor) {
  return layer.name.empty() ? std::string(tensor) : absl::StrCat(layer.name, ".", tensor);
}

bool IsKept(const BatchNormLayer& layer, const std::vector<std::string>& kept) {
  return MatchesAny(kept, TensorName(layer, "running_mean")) ||
         MatchesAny(kept, TensorName(layer, "running_var"));
}

TensorValue ToValue(const std::string& name, const at::Tensor& of_module, const at::Tensor& found,
                    const BatchNormOptions& options) {
  TensorInfo info{name, *FromScalarType(of_module.scalar_type()), of_module.sizes().vec()};
  info.dtype = options.dtype_of(info);
  const at::Tensor rounded = found.to(ToScalarType(info.dtype)).contiguous();
  const auto* bytes = static_cast<const char*>(rounded.const_data_ptr());
  return {std::move(info), {bytes, bytes + rounded.nbytes()}};
}

}  // namespace

int64_t BatchNormExamples(int64_t example_count, int batch_size) {
  return example_count < batch_size ? example_count : example_count - example_count % batch_size;
}

absl::StatusOr<std::vector<TensorValue>> ArchitectureRunner::GatherBatchNorm(
    const DataSet& data_set, const BatchNormOptions& options) {
  if (options.batch_size < 1) return absl::InvalidArgumentError("the batch size must be positive");
  return Guard("gathering BatchNorm statistics", [&] {
    const FixedThreads threads;
    const c10::InferenceMode inference;
    return GatherBatches(data_set, options);
  });
}

absl::StatusOr<std::vector<TensorValue>> ArchitectureRunner::GatherBatches(
    const DataSet& data_set, const BatchNormOptions& options) {
  std::vector<BatchNormLayer> layers;
  if (architecture_->module() != nullptr) layers = FindBatchNormLayers(*architecture_->module());
  layers.erase(std::remove_if(layers.begin(), layers.end(),
                              [&](const auto& layer) { return IsKept(layer, options.kept); }),
               layers.end());
  if (layers.empty()) return std::vector<TensorValue>();

  ASSIGN_OR_RETURN(
      const ModelInputs inputs,
      ModelInputs::Create(architecture_->schema(), data_set, options.inputs, device_, &resident_));
  RETURN_IF_ERROR(inputs.CheckNoneDiffers());
  const int64_t examples = BatchNormExamples(data_set.size(), options.batch_size);
  const int64_t batch_size = std::min<int64_t>(options.batch_size, examples);
  BatchNormGatherer gatherer(std::move(layers));
  std::vector<int64_t> batch(static_cast<size_t>(batch_size));
  for (int64_t first = 0; first < examples; first += batch_size) {
    gatherer.BeginBatch();
    std::iota(batch.begin(), batch.end(), first);
    RETURN_IF_ERROR(data_set.Bring(batch));
    Arguments arguments = inputs.Batch(batch, batch_size);
    RETURN_IF_ERROR(Annotate(Guard("forward()",
                                   [&] {
                                     architecture_->Forward(std::move(arguments));
                                     return absl::OkStatus();
                                   }),
                             absl::StrCat("model given ", inputs.Describe(batch_size))));
    RETURN_IF_ERROR(gatherer.EndBatch());
    if (options.progress) RETURN_IF_ERROR(options.progress(first + batch_size));
  }

  RETURN_IF_ERROR(data_set.CheckUnchanged());

  std::vector<TensorValue> values;
  for (const auto& found : gatherer.Finish()) {
    if (found.batches == 0) continue;
    const BatchNormLayer& layer = *found.layer;
    const auto add = [&](absl::string_view name, const at::Tensor& of_module,
                         const at::Tensor& value) {
      values.push_back(ToValue(TensorName(layer, name), of_module, value, options));
    };
    if (layer.tracked.defined()) {
      add("num_batches_tracked", layer.tracked, torch::scalar_tensor(found.batches, torch::kInt64));
    }
    add("running_mean", layer.mean, found.mean);
    add("running_var", layer.variance, found.variance);
  }
  std::sort(values.begin(), values.end(),
            [](const TensorValue& a, const TensorValue& b) { return a.info.name < b.info.name; });
  return values;
}

}  // namespace stockpot
