// Tasks that run models or compare weights.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/recipe/task_parts.h"

namespace stockpot {
namespace {

// What a result means is part of its key: raise a number when the meaning of that result changes.
constexpr int kMeasureVersion = 2;  // 2: counts by class, calibration errors
constexpr int kNotBetterVersion = 1;
constexpr int kEnsembleVersion = 1;
constexpr int kGapVersion = 1;
constexpr int kCompareVersion = 1;
constexpr int kLearnVersion = 1;

Json ListOf(const std::vector<InputBindingSpec>& bindings) {
  Json list = Json::array();
  for (const InputBindingSpec& binding : bindings) list.push_back(ToJson(binding));
  return list;
}

void AddClasses(const MeasureInputs& inputs, Json* determining) {
  const DataSetSpec& data_set = inputs.data_set;
  if (!data_set.class_subset.empty()) (*determining)["class_subset"] = data_set.class_subset;
  if (!data_set.classifier.has_value()) return;
  (*determining)["classifier"] = {{"digest", inputs.classifier_digest},
                                  {"bias", !data_set.classifier->bias_tensor.empty()},
                                  {"normalize", data_set.classifier->normalize_features},
                                  {"scale", data_set.classifier->scale}};
}

// Keys from before there was a choice stay what they are.
void AddComputation(const MeasureInputs& inputs, Json* json) {
  if (inputs.precision != Precision::kFloat32) {
    (*json)["precision"] = std::string(PrecisionName(inputs.precision));
  }
  if (inputs.channels_last) (*json)["channels_last"] = true;
}

// Without the weights.
Json DeterminingContext(const MeasureInputs& inputs) {
  Json determining = {{"architecture", inputs.architecture_digest},
                      {"inputs", ListOf(inputs.bindings)},
                      {"data_set", inputs.data_set_digest},
                      {"batch_size", inputs.batch_size},
                      {"numerics", inputs.numerics}};
  AddClasses(inputs, &determining);
  if (inputs.problem != Problem::kClassification) {
    determining["problem"] = std::string(ProblemName(inputs.problem));
  }
  AddComputation(inputs, &determining);
  if (inputs.batch_norm.has_value()) determining["batch_norm"] = inputs.batch_norm_digest;
  if (inputs.keep_logits) determining["keep_logits"] = true;
  if (!inputs.scope.empty()) determining["scope"] = inputs.scope;
  return determining;
}

// Without the blend.
Json ContextJson(const MeasureInputs& inputs) {
  Json json = {{"architecture_uri", inputs.architecture_uri},
               {"architecture_digest", inputs.architecture_digest},
               {"inputs", ListOf(inputs.bindings)},
               {"data_set", ToJson(inputs.data_set)},
               {"data_set_digest", inputs.data_set_digest},
               {"batch_size", inputs.batch_size}};
  if (inputs.problem != Problem::kClassification) {
    json["problem"] = std::string(ProblemName(inputs.problem));
  }
  AddComputation(inputs, &json);
  if (inputs.data_set.classifier.has_value()) json["classifier_digest"] = inputs.classifier_digest;
  if (inputs.batch_norm.has_value()) {
    json["batch_norm"] = {{"data_set", ToJson(*inputs.batch_norm)},
                          {"data_set_digest", inputs.batch_norm_digest}};
  }
  if (inputs.keep_logits) json["keep_logits"] = true;
  return json;
}

void AddBar(const MeasureInputs& inputs, Json* body) {
  if (inputs.keep_margins) (*body)["keep_margins"] = true;
  if (!inputs.bar.has_value()) return;
  (*body)["bar"] = {{"metric", std::string(MetricName(inputs.bar->metric))},
                    {"number", inputs.bar->number},
                    {"ties_win", inputs.bar->ties_win}};
  (*body)["visiting_order_keys"] = inputs.bar->visiting_order_keys;
}

Json KeptJson(const KeptLogitsReference& kept) {
  return {{"key", kept.key}, {"blend", BlendJson(kept.weights)}, {"batch_size", kept.batch_size}};
}

// A task over a data set, by a model.
Task ModelTask(const MeasureInputs& inputs, std::string key, const char* kind, Json body) {
  Task task;
  task.key = std::move(key);
  task.body = {{kind, std::move(body)}};
  task.example_count = inputs.example_count;
  task.numerics = inputs.numerics;
  return task;
}

std::string NameOf(const WeightsInputs& weights) {
  return weights.ingredients.size() == 1 ? weights.ingredients[0].uri
                                         : absl::StrCat("soup of ", weights.ingredients.size());
}

}  // namespace

Json MeasureJson(const MeasureInputs& inputs) {
  Json json = ContextJson(inputs);
  json["blend"] = BlendJson(inputs.weights);
  return json;
}

std::string MeasureKey(const MeasureInputs& inputs) {
  Json determining = DeterminingContext(inputs);
  determining.update(Determining(inputs.weights));
  return KeyOf("measure", kMeasureVersion, determining);
}

std::string NotBetterKey(const std::string& measure_key, const BarInputs& bar) {
  return KeyOf("not_better", kNotBetterVersion,
               {{"measure", measure_key},
                {"metric", std::string(MetricName(bar.metric))},
                {"number", bar.number},
                {"ties_win", bar.ties_win}});
}

const std::string& FactKey(const Task& task, const Json& result) {
  return result.is_object() && result.contains("not_better") ? task.not_better_key : task.key;
}

Task MeasureTask(const MeasureInputs& inputs) { return MeasureTask(inputs, MeasureKey(inputs)); }

Task MeasureTask(const MeasureInputs& inputs, const std::string& measure_key) {
  Json body = MeasureJson(inputs);
  AddBar(inputs, &body);
  Task task = ModelTask(inputs, measure_key, "measure", std::move(body));
  if (inputs.bar.has_value()) task.not_better_key = NotBetterKey(task.key, *inputs.bar);
  task.description = absl::StrCat(NameOf(inputs.weights), " on ", inputs.data_set.name);
  return task;
}

std::string EnsembleKey(const EnsembleInputs& inputs) {
  Json keys = Json::array();
  for (const KeptLogitsReference& member : inputs.members) keys.push_back(member.key);
  return KeyOf("measure_ensemble", kEnsembleVersion,
               {{"members", keys},
                {"coefficients", inputs.coefficients},
                {"temperature", inputs.temperature},
                {"fit_temperature", inputs.fit_temperature}});
}

Task EnsembleTask(const EnsembleInputs& inputs) {
  Json members = Json::array();
  for (const KeptLogitsReference& member : inputs.members) members.push_back(KeptJson(member));
  Json body = {{"measure", ContextJson(inputs.measure)},
               {"members", members},
               {"coefficients", inputs.coefficients},
               {"temperature", inputs.temperature},
               {"fit_temperature", inputs.fit_temperature}};
  Task task = ModelTask(inputs.measure, EnsembleKey(inputs), "measure_ensemble", std::move(body));
  task.description =
      absl::StrCat(inputs.fit_temperature || inputs.temperature != 1 ? "calibration of " : "",
                   inputs.members.size() == 1 ? NameOf(inputs.members[0].weights)
                                              : absl::StrCat("ensemble of ", inputs.members.size()),
                   " on ", inputs.measure.data_set.name);
  return task;
}

std::string GapKey(const GapInputs& inputs) {
  Json soups = Json::array();
  for (const WeightsInputs& soup : inputs.soups) soups.push_back(Determining(soup));
  return KeyOf("measure_gap", kGapVersion,
               {{"first", inputs.first.key},
                {"second", inputs.second.key},
                {"soups", soups},
                {"coefficient", inputs.coefficient},
                {"step", inputs.step}});
}

Task GapTask(const GapInputs& inputs) {
  Json soups = Json::array();
  for (const WeightsInputs& soup : inputs.soups) soups.push_back(BlendJson(soup));
  Json body = {{"measure", ContextJson(inputs.measure)}, {"first", KeptJson(inputs.first)},
               {"second", KeptJson(inputs.second)},      {"soups", soups},
               {"coefficient", inputs.coefficient},      {"step", inputs.step},
               {"batch_size", inputs.measure.batch_size}};
  Task task = ModelTask(inputs.measure, GapKey(inputs), "measure_gap", std::move(body));
  task.description = absl::StrCat("soup minus ensemble of ", NameOf(inputs.first.weights), " and ",
                                  NameOf(inputs.second.weights));
  return task;
}

std::string CompareKey(const CompareInputs& inputs) {
  Json determining = {{"ingredients", DigestsOf(inputs.ingredients)},
                      {"origin", inputs.base.digest}};
  AddSelection(inputs.selection, &determining);
  return KeyOf("compare_weights", kCompareVersion, determining);
}

Task CompareTask(const CompareInputs& inputs) {
  Task task;
  task.key = CompareKey(inputs);
  Json body = {{"ingredients", ReferencesJson(inputs.ingredients)}};
  if (!inputs.base.uri.empty()) body["base"] = ReferenceJson(inputs.base);
  AddSelectionJson(inputs.selection, &body);
  task.body = {{"compare_weights", std::move(body)}};
  task.description = absl::StrCat("compare the weights of ", inputs.ingredients.size());
  return task;
}

std::string LearnKey(const LearnInputs& inputs) {
  const LearnSpec& learn = inputs.learn;
  Json determining = DeterminingContext(inputs.measure);
  determining.update(Determining(inputs.measure.weights));
  determining["learn"] = {{"per_tensor", learn.per_tensor},
                          {"constraint", learn.constraint},
                          {"learning_rate", learn.learning_rate},
                          {"weight_decay", learn.weight_decay},
                          {"seed", learn.seed},
                          {"fixed_temperature", learn.fixed_temperature},
                          {"epoch", inputs.epoch},
                          {"state", Sha256Hex(inputs.state)}};
  return KeyOf("learn_coefficients", kLearnVersion, determining);
}

Task LearnTask(const LearnInputs& inputs) {
  const LearnSpec& learn = inputs.learn;
  Json body = {{"measure", MeasureJson(inputs.measure)},
               {"recipe",
                {{"per_tensor", learn.per_tensor},
                 {"constraint", learn.constraint},
                 {"epochs", learn.epochs},
                 {"batch_size", learn.batch_size},
                 {"learning_rate", learn.learning_rate},
                 {"weight_decay", learn.weight_decay},
                 {"seed", std::to_string(learn.seed)},
                 {"fixed_temperature", learn.fixed_temperature}}},
               {"epoch", inputs.epoch},
               {"state", inputs.state}};
  Task task = ModelTask(inputs.measure, LearnKey(inputs), "learn_coefficients", std::move(body));
  task.description = absl::StrCat("epoch ", inputs.epoch + 1, " of the learned soup of ",
                                  inputs.measure.weights.ingredients.size());
  return task;
}

}  // namespace stockpot
