#include "server/recipe/task.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"

namespace stockpot {
namespace {

// What a result means is part of its key: raise a number when the meaning of that result changes.
constexpr int kInspectVersion = 1;
constexpr int kMeasureVersion = 1;
constexpr int kWriteVersion = 1;
constexpr int kEndBudgetVersion = 1;

std::string KeyOf(absl::string_view kind, int version, const Json& determining) {
  return Sha256Hex(
      Json{{"kind", std::string(kind)}, {"version", version}, {"of", determining}}.dump(
          -1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
}

Json ListOf(const std::vector<InputBindingSpec>& bindings) {
  Json list = Json::array();
  for (const InputBindingSpec& binding : bindings) list.push_back(ToJson(binding));
  return list;
}

Json DigestsOf(const std::vector<CheckpointReference>& ingredients) {
  Json list = Json::array();
  for (const CheckpointReference& ingredient : ingredients) list.push_back(ingredient.digest);
  return list;
}

Json BlendJson(const std::vector<CheckpointReference>& ingredients,
               const std::vector<double>& coefficients, const std::string& dtype) {
  Json list = Json::array();
  for (const CheckpointReference& ingredient : ingredients) {
    list.push_back({{"uri", ingredient.uri}, {"digest", ingredient.digest}});
  }
  return {{"ingredients", list}, {"coefficients", coefficients}, {"dtype", dtype}};
}

}  // namespace

Task InspectCheckpointTask(const std::string& scope, const std::string& uri) {
  Task task;
  task.key = KeyOf("inspect_checkpoint", kInspectVersion, {{"scope", scope}, {"uri", uri}});
  task.body = {{"inspect_checkpoint", {{"uri", uri}}}};
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

Task InspectDataSetTask(const std::string& scope, const DataSetSpec& data_set) {
  Task task;
  const Json spec = ToJson(data_set);
  task.key = KeyOf("inspect_data_set", kInspectVersion, {{"scope", scope}, {"data_set", spec}});
  task.body = {{"inspect_data_set", {{"data_set", spec}}}};
  task.description = absl::StrCat("inspect data set ", data_set.name);
  return task;
}

std::string MeasureKey(const MeasureInputs& inputs) {
  Json determining = {{"architecture", inputs.architecture_digest},
                      {"inputs", ListOf(inputs.bindings)},
                      {"ingredients", DigestsOf(inputs.ingredients)},
                      {"coefficients", inputs.coefficients},
                      {"dtype", inputs.dtype},
                      {"data_set", inputs.data_set_digest},
                      {"batch_size", inputs.batch_size},
                      {"numerics", inputs.numerics}};
  if (!inputs.scope.empty()) determining["scope"] = inputs.scope;
  return KeyOf("measure", kMeasureVersion, determining);
}

Task MeasureTask(const MeasureInputs& inputs) {
  Task task;
  task.key = MeasureKey(inputs);
  task.body = {{"measure",
                {{"architecture_uri", inputs.architecture_uri},
                 {"architecture_digest", inputs.architecture_digest},
                 {"inputs", ListOf(inputs.bindings)},
                 {"blend", BlendJson(inputs.ingredients, inputs.coefficients, inputs.dtype)},
                 {"data_set", ToJson(inputs.data_set)},
                 {"data_set_digest", inputs.data_set_digest},
                 {"batch_size", inputs.batch_size}}}};
  task.description =
      inputs.ingredients.size() == 1
          ? absl::StrCat(inputs.ingredients[0].uri, " on ", inputs.data_set.name)
          : absl::StrCat("soup of ", inputs.ingredients.size(), " on ", inputs.data_set.name);
  task.example_count = inputs.example_count;
  task.numerics = inputs.numerics;
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
  if (task.kind() != "measure" && task.kind() != "write_soup") return digests;
  const Json& body = *task.body.begin();
  for (const char* field : {"architecture_digest", "data_set_digest"}) {
    if (body.contains(field)) digests.push_back(body.at(field).get<std::string>());
  }
  for (const Json& ingredient : body.at("blend").at("ingredients")) {
    digests.push_back(ingredient.at("digest").get<std::string>());
  }
  return digests;
}

Task WriteSoupTask(const WriteSoupInputs& inputs) {
  Task task;
  task.key = KeyOf("write_soup", kWriteVersion,
                   {{"scope", inputs.scope},
                    {"ingredients", DigestsOf(inputs.ingredients)},
                    {"coefficients", inputs.coefficients},
                    {"dtype", inputs.dtype},
                    {"format", inputs.format},
                    {"max_shard_bytes", inputs.max_shard_bytes}});
  task.body = {{"write_soup",
                {{"blend", BlendJson(inputs.ingredients, inputs.coefficients, inputs.dtype)},
                 {"folder", inputs.folder},
                 {"metadata", inputs.metadata},
                 {"format", inputs.format},
                 {"max_shard_bytes", inputs.max_shard_bytes}}}};
  task.description = absl::StrCat("write the soup of ", inputs.ingredients.size());
  return task;
}

}  // namespace stockpot
