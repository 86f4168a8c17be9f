#include "server/control/rpc/capabilities.h"

#include <utility>

#include "server/recipe/recipe.h"

namespace stockpot {

v1::Capabilities MakeCapabilities(const std::string& version,
                                  const std::vector<Engine::WorkerView>& workers) {
  v1::Capabilities capabilities;
  capabilities.set_server_version(version);
  for (const RecipeKind kind :
       {RecipeKind::kGreedy, RecipeKind::kUniform, RecipeKind::kBestSingle, RecipeKind::kLearned,
        RecipeKind::kLogitEnsemble, RecipeKind::kGreedyLogitEnsemble}) {
    RecipeOptions options;
    options.recipe.kind = kind;
    capabilities.add_recipes(MakeRecipe(std::move(options))->version());
  }
  for (const char* format : {"safetensors", "torch.save"}) {
    capabilities.add_checkpoint_formats(format);
  }
  for (const char* format :
       {"IMAGE_FOLDER", "TENSORS", "PARQUET", "WEBDATASET", "NUMPY", "CSV", "JSONL"}) {
    capabilities.add_data_set_formats(format);
  }
  for (const Metric metric : AllMetrics()) {
    capabilities.add_metrics(std::string(MetricName(metric)));
  }
  for (const Engine::WorkerView& worker : workers) {
    v1::Capabilities::WorkerDescription& description = *capabilities.add_workers();
    description.set_device_kind(worker.info.device_kind);
    description.set_device_name(worker.info.device_name);
    description.set_numerics(worker.info.numerics);
    description.set_busy(worker.busy);
  }
  return capabilities;
}

}  // namespace stockpot
