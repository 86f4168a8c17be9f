#include "server/recipe/task_parts.h"

#include "server/base/digest.h"

namespace stockpot {
namespace {

bool SelectsAll(const TensorSelectionReference& selection) {
  return selection.excluded.empty() && selection.from_base.empty();
}

}  // namespace

std::string KeyOf(absl::string_view kind, int version, const Json& determining) {
  return Sha256Hex(
      Json{{"kind", std::string(kind)}, {"version", version}, {"of", determining}}.dump(
          -1, ' ', /*ensure_ascii=*/true, Json::error_handler_t::replace));
}

Json DigestsOf(const std::vector<CheckpointReference>& ingredients) {
  Json list = Json::array();
  for (const CheckpointReference& ingredient : ingredients) list.push_back(ingredient.digest);
  return list;
}

Json ReferenceJson(const CheckpointReference& reference) {
  return {{"uri", reference.uri}, {"digest", reference.digest}};
}

Json ReferencesJson(const std::vector<CheckpointReference>& references) {
  Json list = Json::array();
  for (const CheckpointReference& reference : references) list.push_back(ReferenceJson(reference));
  return list;
}

void AddReadingJson(const CheckpointReadingSpec& reading, Json* body) {
  if (reading.empty()) return;
  Json& json = (*body)["reading"];
  json = Json::object();
  if (!reading.state_dict_key.empty()) json["state_dict_key"] = reading.state_dict_key;
  for (const NameRule& rule : reading.renames) {
    json["renames"].push_back({{"pattern", rule.pattern}, {"replacement", rule.replacement}});
  }
  if (!reading.adapter_base.uri.empty()) json["adapter_base"] = ReferenceJson(reading.adapter_base);
}

void AddSelectionJson(const TensorSelectionReference& selection, Json* body) {
  if (SelectsAll(selection) && selection.reading.empty()) return;
  Json& json = (*body)["selection"];
  json = {{"excluded", selection.excluded}, {"from_base", selection.from_base}};
  if (!selection.from_base.empty()) json["base"] = ReferenceJson(selection.base);
  AddReadingJson(selection.reading, &json);
}

Json BlendJson(const WeightsInputs& weights) {
  Json json = {{"ingredients", ReferencesJson(weights.ingredients)},
               {"coefficients", weights.coefficients},
               {"dtype", weights.dtype}};
  AddSelectionJson(weights.selection, &json);
  return json;
}

void AddSelection(const TensorSelectionReference& selection, Json* determining) {
  if (SelectsAll(selection)) return;
  (*determining)["excluded"] = selection.excluded;
  (*determining)["from_base"] = selection.from_base;
  if (!selection.from_base.empty()) (*determining)["base"] = selection.base.digest;
}

Json Determining(const WeightsInputs& weights) {
  Json determining = {{"ingredients", DigestsOf(weights.ingredients)},
                      {"coefficients", weights.coefficients},
                      {"dtype", weights.dtype}};
  AddSelection(weights.selection, &determining);
  return determining;
}

}  // namespace stockpot
