// Tasks that look at sources, write soups and end budgets.
#include "server/recipe/task.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/task_parts.h"

namespace stockpot {
namespace {

// What a result means is part of its key: raise a number when the meaning of that result changes.
constexpr int kInspectVersion = 1;
constexpr int kWriteVersion = 1;
constexpr int kEndBudgetVersion = 1;

void AddContent(const Json& json, std::vector<std::string>* digests) {
  if (json.is_object()) {
    for (const auto& [name, value] : json.items()) {
      const bool is_digest =
          name == "digest" || name == "architecture_digest" || name == "data_set_digest";
      if (is_digest && value.is_string()) {
        digests->push_back(value.get<std::string>());
      } else {
        AddContent(value, digests);
      }
    }
  } else if (json.is_array()) {
    for (const Json& item : json) AddContent(item, digests);
  }
}

}  // namespace

Task InspectCheckpointTask(const std::string& scope, const std::string& uri,
                           const CheckpointReadingSpec& reading) {
  Task task;
  task.key = KeyOf("inspect_checkpoint", kInspectVersion, {{"scope", scope}, {"uri", uri}});
  Json body = {{"uri", uri}};
  AddReadingJson(reading, &body);
  task.body = {{"inspect_checkpoint", std::move(body)}};
  task.description = absl::StrCat("inspect checkpoint ", uri);
  return task;
}

Task InspectArchitectureTask(const std::string& scope, const std::string& uri) {
  Task task;
  task.key = KeyOf("inspect_architecture", kInspectVersion, {{"scope", scope}, {"uri", uri}});
  task.body = {{"inspect_architecture", {{"uri", uri}}}};
  task.description = absl::StrCat("inspect architecture ", uri);
  return task;
}

Task InspectDataSetTask(const std::string& scope, const DataSetSpec& data_set, int picture_count) {
  Task task;
  const Json spec = ToJson(data_set);
  task.key = KeyOf("inspect_data_set", kInspectVersion, {{"scope", scope}, {"data_set", spec}});
  task.body = {{"inspect_data_set", {{"data_set", spec}}}};
  if (picture_count > 0) task.body["inspect_data_set"]["picture_count"] = picture_count;
  task.description = absl::StrCat("inspect data set ", data_set.name);
  return task;
}

Task InspectClassifierTask(const std::string& scope, const ClassifierSpec& classifier) {
  Task task;
  const Json body = {{"uri", classifier.uri},
                     {"weight_tensor", classifier.weight_tensor},
                     {"bias_tensor", classifier.bias_tensor}};
  task.key = KeyOf("inspect_classifier", kInspectVersion, {{"scope", scope}, {"of", body}});
  task.body = {{"inspect_classifier", body}};
  task.description = absl::StrCat("inspect classifier ", classifier.uri);
  return task;
}

Task ListSourcesTask(const std::string& scope, const std::string& uri_pattern, int max_count) {
  Task task;
  const Json body = {{"uri_pattern", uri_pattern}, {"max_count", max_count}};
  task.key = KeyOf("list_sources", kInspectVersion, {{"scope", scope}, {"of", body}});
  task.body = {{"list_sources", body}};
  task.description = absl::StrCat("look for ", uri_pattern);
  return task;
}

Task EndBudgetTask(const std::string& scope) {
  Task task;
  task.key = KeyOf("end_budget", kEndBudgetVersion, {{"scope", scope}});
  task.body = {{"end_budget", Json::object()}};
  task.description = "end of the budget";
  return task;
}

Json EndBudgetResult(int64_t evaluations) {
  return {{"end_budget", {{"evaluations", evaluations}}}};
}

std::vector<std::string> ContentOf(const Task& task) {
  std::vector<std::string> digests;
  AddContent(task.body, &digests);
  return digests;
}

Task WriteSoupTask(const WriteSoupInputs& inputs) {
  Task task;
  Json determining = {{"scope", inputs.scope},
                      {"format", inputs.format},
                      {"max_shard_bytes", inputs.max_shard_bytes}};
  determining.update(Determining(inputs.weights));
  Json body = {{"blend", BlendJson(inputs.weights)},
               {"folder", inputs.folder},
               {"metadata", inputs.metadata},
               {"format", inputs.format},
               {"max_shard_bytes", inputs.max_shard_bytes}};
  if (inputs.reestimate.has_value()) {
    determining["reestimate"] = MeasureKey(*inputs.reestimate);
    body["reestimate"] = MeasureJson(*inputs.reestimate);
    task.numerics = inputs.reestimate->numerics;
  }
  task.key = KeyOf("write_soup", kWriteVersion, determining);
  task.body = {{"write_soup", std::move(body)}};
  task.description = absl::StrCat("write the soup of ", inputs.weights.ingredients.size());
  return task;
}

Task PublishArtifactsTask(const std::string& job, const std::string& folder,
                          const std::string& output_uri, const std::vector<std::string>& files) {
  Task task;
  task.key = absl::StrCat("publish/", job);
  task.body = {{"publish_artifacts",
                {{"folder", folder}, {"output_uri", output_uri}, {"job", job}, {"files", files}}}};
  task.description = absl::StrCat(files.empty() ? "look at " : "publish to ", output_uri);
  return task;
}

}  // namespace stockpot
