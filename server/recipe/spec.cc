#include "server/recipe/spec.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/checkpoint_folder.h"
#include "server/recipe/spec_parts.h"

namespace stockpot {
namespace {

constexpr int64_t kMinShardBytes = 1000;
constexpr size_t kMaxNameBytes = 200;
constexpr size_t kMaxPatterns = 1000;
constexpr size_t kMaxComparisons = 20;
constexpr int kMaxBootstrapSamples = 1'000'000;

std::vector<InputBindingSpec> ReadBindings(JsonReader& model) {
  std::vector<InputBindingSpec> bindings;
  for (JsonReader& reader : model.List("inputs")) {
    InputBindingSpec binding;
    reader.Read("data_set_input", &binding.data_set_input);
    reader.Read("argument", &binding.argument);
    reader.Read("scale_to_unit", &binding.scale_to_unit);
    reader.Read("mean", &binding.mean);
    reader.Read("standard_deviation", &binding.standard_deviation);
    if (binding.mean.size() != binding.standard_deviation.size()) {
      reader.AddViolation("standard_deviation", "must have as many values as mean");
    }
    if (!std::all_of(binding.mean.begin(), binding.mean.end(),
                     [](float value) { return std::isfinite(value); })) {
      reader.AddViolation("mean", "must be finite");
    }
    if (!std::all_of(binding.standard_deviation.begin(), binding.standard_deviation.end(),
                     [](float value) { return std::isfinite(value) && value > 0; })) {
      reader.AddViolation("standard_deviation", "must be positive and finite");
    }
    reader.Read("normalize_as_held_out", &binding.normalize_as_held_out);
    if (binding.normalize_as_held_out && (binding.scale_to_unit || !binding.mean.empty())) {
      reader.AddViolation("normalize_as_held_out",
                          "contradicts scale_to_unit, mean and standard_deviation");
    }
    bindings.push_back(std::move(binding));
  }
  return bindings;
}

std::string LastPart(const std::string& uri) {
  const size_t slash = uri.find_last_of('/');
  return slash == std::string::npos ? uri : uri.substr(slash + 1);
}

void ReadPlace(JsonReader& item, IngredientSpec* ingredient) {
  item.Read("uri_pattern", &ingredient->uri_pattern);
  if (ingredient->uri_pattern.empty()) {
    ReadUri(item, "uri", &ingredient->uri);
    ingredient->is_folder = MayHoldCheckpoints(ingredient->uri);
    return;
  }
  CheckUri(item, "uri_pattern", ingredient->uri_pattern);
  item.Read("uri", &ingredient->uri);
  if (!ingredient->uri.empty())
    item.AddViolation("uri", "is given in place of uri_pattern, not beside it");
  if (!ingredient->display_name.empty()) {
    item.AddViolation("display_name", "a pattern's ingredients are called by what differs");
  }
}

void ReadIngredients(JsonReader& reader, const SpecLimits& limits, JobSpec* spec) {
  std::vector<JsonReader> items = reader.List("ingredients");
  std::map<std::string, int> last_parts;
  for (JsonReader& item : items) {
    IngredientSpec& ingredient = spec->ingredients.emplace_back();
    item.Read("display_name", &ingredient.display_name);
    ReadPlace(item, &ingredient);
    item.Read("group", &ingredient.group);
    if (ingredient.group.size() > kMaxNameBytes) {
      item.AddViolation("group", absl::StrCat("must be at most ", kMaxNameBytes, " bytes"));
    }
    if (ingredient.display_name.size() > kMaxNameBytes) {
      item.AddViolation("display_name", absl::StrCat("must be at most ", kMaxNameBytes, " bytes"));
    }
    if (ingredient.uri_pattern.empty()) ++last_parts[LastPart(ingredient.uri)];
  }
  std::set<std::string> names;
  for (size_t i = 0; i < items.size(); ++i) {
    IngredientSpec& ingredient = spec->ingredients[i];
    if (!ingredient.uri_pattern.empty()) {
      ingredient.display_name = ingredient.uri_pattern;
    } else if (ingredient.display_name.empty()) {
      // Sweeps keep runs in folders of the same shape (run_07/model.pt): the whole URI tells them
      // apart.
      std::string last_part = LastPart(ingredient.uri);
      const bool tells_apart = !last_part.empty() && last_parts[last_part] == 1;
      ingredient.display_name = tells_apart ? std::move(last_part) : ingredient.uri;
    }
    if (!names.insert(ingredient.display_name).second) {
      items[i].AddViolation("display_name", absl::StrCat("'", ingredient.display_name,
                                                         "' is the name of an earlier ingredient"));
    }
  }
  if (spec->ingredients.empty()) reader.AddViolation("ingredients", "at least one is required");
  if (static_cast<int>(spec->ingredients.size()) > limits.max_ingredients) {
    reader.AddViolation("ingredients", absl::StrCat("at most ", limits.max_ingredients, ", got ",
                                                    spec->ingredients.size()));
  }
}

void ReadReportSets(JsonReader& reader, const SpecLimits& limits, JobSpec* spec) {
  bool final_seen = false;
  for (JsonReader& item : reader.List("report_sets")) {
    DataSetSpec data_set = ReadDataSet(item, "");
    for (const DataSetSpec& earlier : spec->data_sets) {
      if (earlier.name == data_set.name) {
        item.AddViolation("name",
                          absl::StrCat("'", data_set.name, "' is the name of another data set"));
      }
    }
    if (data_set.role == DataSetRole::kFinal && final_seen) {
      item.AddViolation("role", "there is a FINAL set already: the headline is about one");
    }
    final_seen = final_seen || data_set.role == DataSetRole::kFinal;
    spec->data_sets.push_back(std::move(data_set));
  }
  if (static_cast<int>(spec->data_sets.size()) > limits.max_report_sets + 1) {
    reader.AddViolation("report_sets", absl::StrCat("at most ", limits.max_report_sets));
  }
}

void ReadMetric(JsonReader& reader, JobSpec* spec) {
  const int problem =
      ReadChoice(reader, "problem", {"CLASSIFICATION", "REGRESSION", "LANGUAGE_MODEL"});
  spec->problem = static_cast<Problem>(problem);
  constexpr Metric kDefaults[] = {Metric::kTop1, Metric::kMeanSquaredError, Metric::kPerplexity};
  spec->metric = kDefaults[problem];
  std::vector<std::string> names = {std::string(MetricName(spec->metric))};
  for (const Metric metric : AllMetrics()) names.emplace_back(MetricName(metric));
  const std::string name = ReadEnum(reader, "metric", names);
  for (const Metric metric : AllMetrics()) {
    if (MetricName(metric) == name) spec->metric = metric;
  }
  if (!Fits(spec->metric, spec->problem)) {
    reader.AddViolation(
        "metric", absl::StrCat(name, " is no metric of the problem ", ProblemName(spec->problem)));
  }
}

void ReadConfidence(JsonReader reader, ConfidenceSpec* spec) {
  reader.Read("level", &spec->level);
  if (spec->level == 0) spec->level = ConfidenceSpec().level;
  if (!(spec->level > 0 && spec->level < 1)) {
    reader.AddViolation("level", "must be between 0 and 1");
  }
  ReadCount(reader, "bootstrap_samples", kMaxBootstrapSamples, &spec->bootstrap_samples);
  reader.Read("seed", &spec->seed);
}

void ReadEvaluation(JsonReader reader, const SpecLimits& limits, JobSpec* spec) {
  if (!reader.Has("held_out")) {
    reader.AddViolation("held_out", "is required: the recipe chooses on it");
  } else {
    JsonReader held_out = reader.Object("held_out");
    spec->data_sets.push_back(ReadDataSet(held_out, "held_out"));
    if (spec->data_sets[0].role != DataSetRole::kTest) {
      held_out.AddViolation("role", "the held-out set has no role: the recipe chooses on it");
    }
    spec->data_sets[0].role = DataSetRole::kHeldOut;
  }
  ReadReportSets(reader, limits, spec);
  ReadMetric(reader, spec);
  ReadConfidence(reader.Object("confidence"), &spec->confidence);
  reader.Read("report_every_ingredient", &spec->report_every_ingredient);
  reader.Read("full_scores", &spec->full_scores);
}

void ReadModel(JsonReader model, JobSpec* spec) {
  ReadUri(model, "architecture_uri", &spec->architecture_uri);
  spec->inputs = ReadBindings(model);
  model.Read("base_uri", &spec->base_uri);
  CheckUri(model, "base_uri", spec->base_uri);
  for (const auto& [key, patterns] : {std::pair("tensors_from_base", &spec->tensors_from_base),
                                      std::pair("excluded_tensors", &spec->excluded_tensors)}) {
    model.Read(key, patterns);
    if (patterns->size() > kMaxPatterns) {
      model.AddViolation(key, absl::StrCat("at most ", kMaxPatterns));
    }
    for (const std::string& pattern : *patterns) {
      if (!pattern.empty() && pattern.size() <= kMaxNameBytes) continue;
      model.AddViolation(key, absl::StrCat("must be of 1 to ", kMaxNameBytes, " bytes each"));
    }
  }
  if (!spec->tensors_from_base.empty() && spec->base_uri.empty()) {
    model.AddViolation("tensors_from_base", "needs base_uri");
  }
  ReadNaming(model, "state_dict_key", "tensor_renames", &spec->state_dict_key,
             &spec->tensor_renames);
}

void CheckNormalisation(JsonReader& reader, const JobSpec& spec) {
  const bool known = spec.data_sets.empty() || !spec.data_sets[0].preset.empty() ||
                     !spec.data_sets[0].config_uri.empty();
  for (const InputBindingSpec& binding : spec.inputs) {
    if (known || !binding.normalize_as_held_out) continue;
    reader.AddViolation("inputs",
                        "normalize_as_held_out needs a preset or config_uri in the held-out set's "
                        "image_transform");
  }
}

void ReadBatchNorm(JsonReader reader, JobSpec* spec) {
  BatchNormSpec batch_norm;
  batch_norm.data_set = ReadDataSet(reader.Object("data_set"), "batch_norm");
  batch_norm.final_soup_only = ReadChoice(reader, "scope", {"EVERY_CANDIDATE", "FINAL_SOUP"}) == 1;
  spec->batch_norm = std::move(batch_norm);
}

void ReadCompute(JsonReader compute, const SpecLimits& limits, JobSpec* spec) {
  compute.Read("batch_size", &spec->batch_size);
  if (spec->batch_size == 0) spec->batch_size = JobSpec().batch_size;
  if (spec->batch_size < 1 || spec->batch_size > limits.max_batch_size) {
    compute.AddViolation("batch_size",
                         absl::StrCat("must be between 1 and ", limits.max_batch_size));
  }
  compute.Read("speculation", &spec->speculation);
  if (spec->speculation < 0) compute.AddViolation("speculation", "must not be negative");
  compute.Read("measure_again", &spec->measure_again);
  compute.Read("disable_early_stopping", &spec->disable_early_stopping);
  spec->precision = static_cast<Precision>(
      ReadChoice(compute, "precision", {"FLOAT32", "TF32", "BFLOAT16", "FLOAT16"}));
  compute.Read("channels_last", &spec->channels_last);
}

void ReadRecipes(JsonReader& reader, JobSpec* spec) {
  JsonReader recipe = reader.Object("recipe");
  spec->recipe = ReadRecipe(recipe, *spec);
  if (IsEnsemble(spec->recipe.kind)) {
    recipe.AddViolation(spec->recipe.kind == RecipeKind::kLogitEnsemble ? "logit_ensemble"
                                                                        : "greedy_logit_ensemble",
                        "an ensemble is no weights to ship: give it under spec.comparisons");
  }
  for (JsonReader& item : reader.List("comparisons")) {
    spec->comparisons.push_back(ReadRecipe(item, *spec));
  }
  if (spec->comparisons.size() > kMaxComparisons) {
    reader.AddViolation("comparisons", absl::StrCat("at most ", kMaxComparisons));
  }
}

void ReadOutput(JsonReader reader, JobSpec* spec) {
  spec->dtype = ReadEnum(reader, "dtype", {"STORED", "FLOAT32", "BFLOAT16", "FLOAT16"});
  spec->output_format = ReadEnum(reader, "format", {"SAFETENSORS", "TORCH_SAVE"});
  reader.Read("max_shard_bytes", &spec->max_shard_bytes);
  if (spec->max_shard_bytes == 0) spec->max_shard_bytes = JobSpec().max_shard_bytes;
  if (spec->max_shard_bytes < kMinShardBytes) {
    reader.AddViolation("max_shard_bytes", absl::StrCat("must be 0 or at least ", kMinShardBytes));
  }
  reader.Read("output_uri", &spec->output_uri);
  CheckUri(reader, "output_uri", spec->output_uri);
}

void ReadLimits(JsonReader reader, JobSpec* spec) {
  const std::pair<const char*, absl::Duration*> kTimes[] = {
      {"timeout", &spec->timeout},
      {"task_timeout", &spec->task_timeout},
      {"max_task_time", &spec->max_task_time},
      {"max_worker_time", &spec->max_worker_time},
  };
  for (const auto& [key, value] : kTimes) {
    reader.Read(key, value);
    if (*value <= absl::ZeroDuration()) reader.AddViolation(key, "must be more than no time");
  }
  reader.Read("max_evaluations", &spec->max_evaluations);
  if (spec->max_evaluations < 0) reader.AddViolation("max_evaluations", "must not be negative");
}

bool IsEnsembleOrRankedByOne(const RecipeSpec& recipe) {
  return IsEnsemble(recipe.kind) || recipe.ensemble_ranking != EnsembleRanking::kNone;
}

// What can be made of a set whose examples have weights: means over examples, and choices by them.
void CheckWeights(JsonReader& reader, const JobSpec& spec) {
  const auto weighted = [](const DataSetSpec& set) { return !set.weight_tensor.empty(); };
  if (std::none_of(spec.data_sets.begin(), spec.data_sets.end(), weighted)) return;
  JsonReader evaluation = reader.Object("evaluation");
  if (!TakesWeights(spec.metric)) {
    evaluation.AddViolation("metric", absl::StrCat(MetricName(spec.metric),
                                                   " is no mean over examples, and a set has "
                                                   "weights: TOP1, TOP5, CROSS_ENTROPY, PERPLEXITY "
                                                   "and MEAN_SQUARED_ERROR take them"));
  }
  if (spec.analysis.calibration || spec.analysis.pairs.has_value()) {
    reader.AddViolation("analysis",
                        "calibration and pairs do not know weights, and a set has some "
                        "(weight_tensor)");
  }
  if (!weighted(spec.data_sets[0])) return;
  std::vector<RecipeSpec> recipes = spec.comparisons;
  recipes.push_back(spec.recipe);
  for (const RecipeSpec& recipe : recipes) {
    if (recipe.kind != RecipeKind::kLearned && !IsEnsembleOrRankedByOne(recipe)) continue;
    reader.AddViolation(&recipe == &recipes.back() ? "recipe" : "comparisons",
                        "the held-out set has weights (weight_tensor), which learned coefficients "
                        "and ensembles do not know");
  }
}

}  // namespace

bool JobSpec::has_patterns() const {
  return std::any_of(ingredients.begin(), ingredients.end(),
                     [](const IngredientSpec& ingredient) { return !ingredient.is_one(); });
}

absl::StatusOr<JobSpec> ParseJobSpec(const Json& json, const std::string& path,
                                     const SpecLimits& limits) {
  JobSpec spec;
  JsonReader reader(json, path);
  ReadModel(reader.Object("model"), &spec);
  ReadIngredients(reader, limits, &spec);
  ReadEvaluation(reader.Object("evaluation"), limits, &spec);
  JsonReader model = reader.Object("model");
  CheckNormalisation(model, spec);
  ReadCompute(reader.Object("compute"), limits, &spec);
  ReadRecipes(reader, &spec);
  spec.analysis = ReadAnalysis(reader.Object("analysis"), spec);
  CheckWeights(reader, spec);
  if (reader.Has("batch_norm")) ReadBatchNorm(reader.Object("batch_norm"), &spec);
  ReadOutput(reader.Object("output"), &spec);
  ReadLimits(reader.Object("limits"), &spec);
  spec.skip_bad_ingredients = ReadEnum(reader, "on_bad_ingredient", {"FAIL", "SKIP"}) == "SKIP";
  RETURN_IF_ERROR(reader.status());
  return spec;
}

Json ToJson(const InputBindingSpec& binding) {
  return {{"data_set_input", binding.data_set_input},
          {"argument", binding.argument},
          {"scale_to_unit", binding.scale_to_unit},
          {"mean", binding.mean},
          {"standard_deviation", binding.standard_deviation}};
}

}  // namespace stockpot
