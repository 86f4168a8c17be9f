#include "server/worker/evaluation/batch_norm_layers.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

bool ReadsTraining(torch::jit::Block* block) {
  for (torch::jit::Node* node : block->nodes()) {
    if (node->kind() == c10::prim::GetAttr && node->s(c10::attr::name) == "training") return true;
    for (torch::jit::Block* inner : node->blocks()) {
      if (ReadsTraining(inner)) return true;
    }
  }
  return false;
}

bool ReadsTraining(const torch::jit::Module& module) {
  const auto methods = module.get_methods();
  return std::any_of(methods.begin(), methods.end(), [](const torch::jit::Method& method) {
    return ReadsTraining(method.graph()->block());
  });
}

// Undefined where the module has no floating-point or integer tensor of that name.
at::Tensor TensorOf(const torch::jit::Module& module, const char* name) {
  const c10::IValue value = module.attr(name, c10::IValue());
  return value.isTensor() ? value.toTensor() : at::Tensor();
}

std::optional<BatchNormLayer> AsBatchNorm(const std::string& name,
                                          const torch::jit::Module& module) {
  BatchNormLayer layer{name,
                       module,
                       TensorOf(module, "running_mean"),
                       TensorOf(module, "running_var"),
                       TensorOf(module, "num_batches_tracked"),
                       std::nullopt};
  if (!layer.mean.defined() || !layer.variance.defined()) return std::nullopt;
  if (!layer.mean.is_floating_point() || !layer.variance.is_floating_point()) return std::nullopt;
  if (!module.type()->findAttributeSlot("training").has_value()) return std::nullopt;
  if (!module.attr("training").isBool() || !ReadsTraining(module)) return std::nullopt;
  if (!module.hasattr("momentum")) return std::nullopt;
  const c10::IValue momentum = module.attr("momentum");
  if (momentum.isNone()) return layer.tracked.defined() ? std::optional(layer) : std::nullopt;
  if (!momentum.isDouble() || !(momentum.toDouble() > 0)) return std::nullopt;
  layer.momentum = momentum.toDouble();
  return layer;
}

// This batch's share of a running statistic that began at 0.
at::Tensor Undiluted(const at::Tensor& running, const std::optional<double>& momentum) {
  return running.to(torch::kCPU, torch::kFloat64).div(momentum.value_or(1.0));
}

}  // namespace

std::vector<BatchNormLayer> FindBatchNormLayers(const torch::jit::Module& module) {
  std::vector<BatchNormLayer> layers;
  for (const auto& named : module.named_modules()) {
    auto layer = AsBatchNorm(named.name, named.value);
    if (layer.has_value()) layers.push_back(*std::move(layer));
  }
  std::sort(layers.begin(), layers.end(),
            [](const BatchNormLayer& a, const BatchNormLayer& b) { return a.name < b.name; });
  return layers;
}

BatchNormGatherer::BatchNormGatherer(std::vector<BatchNormLayer> layers)
    : layers_(std::move(layers)), sums_(layers_.size()) {
  for (BatchNormLayer layer : layers_) layer.module.setattr("training", true);
}

BatchNormGatherer::~BatchNormGatherer() {
  for (BatchNormLayer layer : layers_) layer.module.setattr("training", false);
}

void BatchNormGatherer::BeginBatch() {
  for (const BatchNormLayer& layer : layers_) {
    layer.mean.zero_();
    layer.variance.zero_();
    if (layer.tracked.defined()) layer.tracked.zero_();
  }
}

absl::Status BatchNormGatherer::EndBatch() {
  for (size_t i = 0; i < layers_.size(); ++i) {
    const BatchNormLayer& layer = layers_[i];
    const int64_t calls = layer.tracked.defined() ? layer.tracked.item<int64_t>() : 1;
    if (calls == 0) continue;
    if (calls > 1 && layer.momentum.has_value()) {
      return absl::UnimplementedError(
          absl::StrCat("BatchNorm layer '", layer.name, "' runs ", calls,
                       " times for a batch: its statistics cannot be told apart"));
    }
    const at::Tensor mean = Undiluted(layer.mean, layer.momentum);
    const at::Tensor variance = Undiluted(layer.variance, layer.momentum);
    if (!mean.isfinite().all().item<bool>() || !variance.isfinite().all().item<bool>()) {
      return WithReason(absl::DataLossError(absl::StrCat("BatchNorm layer '", layer.name,
                                                         "' was given what is not finite")),
                        "NON_FINITE_OUTPUT");
    }
    Sum& sum = sums_[i];
    sum.mean = sum.batches == 0 ? mean : sum.mean + mean;
    sum.variance = sum.batches == 0 ? variance : sum.variance + variance;
    ++sum.batches;
  }
  return absl::OkStatus();
}

std::vector<BatchNormGatherer::Statistics> BatchNormGatherer::Finish() const {
  std::vector<Statistics> found;
  for (size_t i = 0; i < layers_.size(); ++i) {
    const Sum& sum = sums_[i];
    Statistics statistics{&layers_[i], {}, {}, sum.batches};
    if (sum.batches > 0) {
      statistics.mean = sum.mean / sum.batches;
      statistics.variance = sum.variance / sum.batches;
    }
    found.push_back(std::move(statistics));
  }
  return found;
}

}  // namespace stockpot
