#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "client/cli/job_flags.h"
#include "client/cli/paths.h"
#include "client/cli/places.h"
#include "client/cli/renames.h"

namespace stockpot::cli {
namespace {

// The enum value that a flag's word names: "not-worse" is NOT_WORSE. CLI11 admitted known words
// only.
template <typename Enum>
Enum EnumValue(const std::string& word, bool (*parse)(const std::string&, Enum*)) {
  Enum value{};
  parse(absl::StrReplaceAll(absl::AsciiStrToUpper(word), {{"-", "_"}}), &value);
  return value;
}

absl::StatusOr<std::pair<std::string, std::string>> SplitPair(const std::string& flag,
                                                              const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": expected NAME=VALUE; got '", text, "'"));
  }
  return std::make_pair(text.substr(0, equals), text.substr(equals + 1));
}

struct Size {
  int32_t height = 0;
  int32_t width = 0;  // 0 when one number was given
};

absl::StatusOr<Size> ParseSize(const std::string& flag, const std::string& text) {
  const std::vector<std::string> parts = absl::StrSplit(text, 'x');
  Size size;
  const bool valid =
      parts.size() <= 2 && absl::SimpleAtoi(parts[0], &size.height) && size.height > 0 &&
      (parts.size() == 1 || (absl::SimpleAtoi(parts[1], &size.width) && size.width > 0));
  if (valid) return size;
  return absl::InvalidArgumentError(
      absl::StrCat(flag, ": expected a size such as 224 or 224x320; got '", text, "'"));
}

bool HoldsTensors(const v1::DataSet& set) {
  if (set.format() != v1::DataSet::FORMAT_UNSPECIFIED) {
    return set.format() == v1::DataSet::TENSORS || set.format() == v1::DataSet::NUMPY;
  }
  return absl::EndsWith(set.uri(), ".safetensors") || absl::EndsWith(set.uri(), ".npz");
}

bool IsImageFolder(const v1::DataSet& set) {
  if (set.format() != v1::DataSet::FORMAT_UNSPECIFIED) {
    return set.format() == v1::DataSet::IMAGE_FOLDER;
  }
  for (const char* end : {".safetensors", ".npz", ".parquet", ".tar", ".csv", ".jsonl"}) {
    if (absl::EndsWith(set.uri(), end)) return false;
  }
  return true;
}

absl::Status ApplyIngredients(const JobFlags& flags, v1::JobSpec& spec) {
  if (!flags.architecture.empty()) {
    spec.mutable_model()->set_architecture_uri(AbsolutePath(flags.architecture));
  }
  if (flags.ingredients.empty()) return absl::OkStatus();
  absl::StatusOr<std::vector<std::string>> paths = ExpandGlobs(flags.ingredients);
  if (!paths.ok()) {
    return absl::InvalidArgumentError(absl::StrCat("--ingredients: ", paths.status().message()));
  }
  spec.clear_ingredients();
  for (const std::string& path : *paths) {
    v1::Ingredient* const ingredient = spec.add_ingredients();
    IsUriPattern(path) ? ingredient->set_uri_pattern(path) : ingredient->set_uri(path);
  }
  return absl::OkStatus();
}

absl::Status AddReportSets(const std::string& flag, const std::vector<std::string>& sets,
                           v1::DataSet::Role role, v1::JobSpec& spec) {
  for (const std::string& text : sets) {
    const auto pair = SplitPair(flag, text);
    if (!pair.ok()) return pair.status();
    v1::DataSet* set = spec.mutable_evaluation()->add_report_sets();
    set->set_name(pair->first);
    set->set_uri(AbsolutePath(pair->second));
    set->set_role(role);
  }
  return absl::OkStatus();
}

absl::Status ApplyDataSets(const JobFlags& flags, v1::JobSpec& spec) {
  if (!flags.held_out.empty()) {
    spec.mutable_evaluation()->mutable_held_out()->set_uri(AbsolutePath(flags.held_out));
  }
  std::vector<std::string> final_sets;
  if (!flags.final_set.empty()) final_sets.push_back(flags.final_set);
  if (flags.report_sets.empty() && flags.shift_sets.empty() && final_sets.empty()) {
    return absl::OkStatus();
  }
  spec.mutable_evaluation()->clear_report_sets();
  absl::Status status =
      AddReportSets("--report-set", flags.report_sets, v1::DataSet::ROLE_UNSPECIFIED, spec);
  if (status.ok()) {
    status = AddReportSets("--shift-set", flags.shift_sets, v1::DataSet::DISTRIBUTION_SHIFT, spec);
  }
  if (status.ok()) status = AddReportSets("--final-set", final_sets, v1::DataSet::FINAL, spec);
  return status;
}

absl::Status ApplyTransform(const JobFlags& flags, v1::ImageTransform& transform) {
  if (!flags.preset.empty()) {
    transform.set_preset(EnumValue(flags.preset, v1::ImageTransform::Preset_Parse));
  }
  if (!flags.preprocessor.empty()) transform.set_config_uri(AbsolutePath(flags.preprocessor));
  if (!flags.resize.empty()) {
    const absl::StatusOr<Size> size = ParseSize("--resize", flags.resize);
    if (!size.ok()) return size.status();
    transform.set_resize_shorter_side(size->width == 0 ? size->height : 0);
    transform.set_resize_height(size->width == 0 ? 0 : size->height);
    transform.set_resize_width(size->width);
  }
  if (!flags.crop.empty()) {
    const absl::StatusOr<Size> size = ParseSize("--crop", flags.crop);
    if (!size.ok()) return size.status();
    transform.set_crop_height(size->height);
    transform.set_crop_width(size->width == 0 ? size->height : size->width);
  }
  if (!flags.interpolation.empty()) {
    transform.set_interpolation(
        EnumValue(flags.interpolation, v1::ImageTransform::Interpolation_Parse));
  }
  if (flags.no_antialias) transform.set_no_antialias(true);
  return absl::OkStatus();
}

// What is said of data sets in general holds for each that it can hold for.
absl::Status ApplyReading(const JobFlags& flags, v1::EvaluationPlan& plan) {
  const bool transforms = !flags.resize.empty() || !flags.crop.empty() ||
                          !flags.interpolation.empty() || flags.no_antialias ||
                          !flags.preset.empty() || !flags.preprocessor.empty();
  std::vector<v1::DataSet*> sets = {plan.mutable_held_out()};
  for (v1::DataSet& set : *plan.mutable_report_sets()) sets.push_back(&set);
  for (v1::DataSet* set : sets) {
    const bool tensors = HoldsTensors(*set);
    if (!IsImageFolder(*set) && !flags.label_tensor.empty()) {
      set->set_label_tensor(flags.label_tensor);
    }
    if (tensors || !transforms) continue;
    if (absl::Status status = ApplyTransform(flags, *set->mutable_image_transform());
        !status.ok()) {
      return status;
    }
  }
  return absl::OkStatus();
}

absl::Status ApplyInput(const JobFlags& flags, v1::Model& model) {
  const bool has_preset = !flags.preset.empty() || !flags.preprocessor.empty();
  const bool says_values = !flags.mean.empty() || flags.scale_to_unit.has_value();
  if (flags.input.empty() && flags.mean.empty() && flags.standard_deviation.empty() &&
      !flags.scale_to_unit.has_value() && !has_preset) {
    return absl::OkStatus();
  }
  if (flags.mean.size() != flags.standard_deviation.size()) {
    return absl::InvalidArgumentError("--mean and --std: give both, with as many values each");
  }
  if (model.inputs_size() > 1) {
    return absl::InvalidArgumentError(
        "the file binds several inputs: give --input, --mean, --std and --scale-to-unit there");
  }
  const bool bound_by_file = model.inputs_size() == 1;
  v1::InputBinding* binding = bound_by_file ? model.mutable_inputs(0) : model.add_inputs();
  if (!flags.input.empty()) binding->set_data_set_input(flags.input);
  if (binding->data_set_input().empty()) binding->set_data_set_input("images");
  if (!flags.mean.empty()) {
    *binding->mutable_mean() = {flags.mean.begin(), flags.mean.end()};
    *binding->mutable_standard_deviation() = {flags.standard_deviation.begin(),
                                              flags.standard_deviation.end()};
  }
  if (has_preset && !says_values) {
    binding->clear_scale_to_unit();
    binding->clear_mean();
    binding->clear_standard_deviation();
    binding->set_normalize_as_held_out(true);
  } else if (flags.scale_to_unit.has_value()) {
    binding->set_scale_to_unit(*flags.scale_to_unit);
  } else if (!bound_by_file) {
    binding->set_scale_to_unit(binding->data_set_input() == "images");
  }
  return absl::OkStatus();
}

struct RecipeEntry {
  const char* word;
  bool is_ensemble;
  void (*choose)(v1::Recipe&);
};

constexpr RecipeEntry kRecipes[] = {
    {"greedy", false, [](v1::Recipe& recipe) { recipe.mutable_greedy(); }},
    {"uniform", false, [](v1::Recipe& recipe) { recipe.mutable_uniform(); }},
    {"best-single", false, [](v1::Recipe& recipe) { recipe.mutable_best_single(); }},
    {"learned", false, [](v1::Recipe& recipe) { recipe.mutable_learned(); }},
    {"learned-per-tensor", false,
     [](v1::Recipe& recipe) { recipe.mutable_learned()->set_per_tensor(true); }},
    {"logit-ensemble", true, [](v1::Recipe& recipe) { recipe.mutable_logit_ensemble(); }},
    {"greedy-logit-ensemble", true,
     [](v1::Recipe& recipe) { recipe.mutable_greedy_logit_ensemble(); }},
};

void ChooseRecipe(const std::string& word, v1::Recipe& recipe) {
  for (const RecipeEntry& entry : kRecipes) {
    if (entry.word == word) entry.choose(recipe);
  }
}

absl::Status ApplyRecipe(const JobFlags& flags, v1::JobSpec& spec) {
  if (!flags.recipe.empty()) ChooseRecipe(flags.recipe, *spec.mutable_recipe());
  if (!flags.acceptance.empty()) {
    const v1::Recipe& recipe = spec.recipe();
    if (recipe.recipe_case() != v1::Recipe::RECIPE_NOT_SET && !recipe.has_greedy()) {
      return absl::InvalidArgumentError("--acceptance: only the greedy recipe accepts or rejects");
    }
    spec.mutable_recipe()->mutable_greedy()->set_acceptance(
        flags.acceptance == "strict" ? v1::GreedyRecipe::STRICT_IMPROVEMENT
                                     : v1::GreedyRecipe::NOT_WORSE);
  }
  if (!flags.comparisons.empty()) spec.clear_comparisons();
  for (const std::string& word : flags.comparisons) ChooseRecipe(word, *spec.add_comparisons());
  if (!flags.base.empty()) spec.mutable_model()->set_base_uri(AbsolutePath(flags.base));
  if (!flags.state_dict_key.empty()) {
    spec.mutable_model()->set_state_dict_key(flags.state_dict_key);
  }
  if (!flags.renames.empty()) {
    spec.mutable_model()->clear_tensor_renames();
    absl::Status added = AddRenames(flags.renames, spec.mutable_model()->mutable_tensor_renames());
    if (!added.ok()) return added;
  }
  if (flags.wise_ft) spec.mutable_recipe()->mutable_wise_ft();
  if (flags.calibration) spec.mutable_analysis()->set_calibration(true);
  if (flags.angles) spec.mutable_analysis()->set_angles(true);
  return absl::OkStatus();
}

absl::Status ApplyChoices(const JobFlags& flags, v1::JobSpec& spec) {
  v1::EvaluationPlan& plan = *spec.mutable_evaluation();
  if (!flags.metric.empty()) {
    plan.set_metric(EnumValue(flags.metric, v1::EvaluationPlan::Metric_Parse));
  }
  if (!flags.problem.empty()) {
    plan.set_problem(EnumValue(flags.problem, v1::EvaluationPlan::Problem_Parse));
  }
  if (flags.report_every_ingredient) plan.set_report_every_ingredient(true);
  if (flags.full_scores) plan.set_full_scores(true);
  if (!flags.dtype.empty()) {
    spec.mutable_output()->set_dtype(EnumValue(flags.dtype, v1::Output::DType_Parse));
  }
  if (!flags.on_bad_ingredient.empty()) {
    spec.set_on_bad_ingredient(flags.on_bad_ingredient == "skip" ? v1::JobSpec::SKIP
                                                                 : v1::JobSpec::FAIL);
  }
  if (flags.batch_size) spec.mutable_compute()->set_batch_size(*flags.batch_size);
  if (!flags.precision.empty()) {
    spec.mutable_compute()->set_precision(EnumValue(flags.precision, v1::Compute::Precision_Parse));
  }
  if (flags.channels_last) spec.mutable_compute()->set_channels_last(true);
  if (flags.speculation) spec.mutable_compute()->set_speculation(*flags.speculation);
  if (flags.measure_again) spec.mutable_compute()->set_measure_again(true);
  return absl::OkStatus();
}

absl::Status ApplyOutput(const JobFlags& flags, v1::JobSpec& spec) {
  if (!flags.output_format.empty()) {
    spec.mutable_output()->set_format(EnumValue(flags.output_format, v1::Output::Format_Parse));
  }
  if (flags.max_shard_bytes) spec.mutable_output()->set_max_shard_bytes(*flags.max_shard_bytes);
  if (!flags.output_uri.empty()) {
    spec.mutable_output()->set_output_uri(AbsolutePath(flags.output_uri));
  }
  return absl::OkStatus();
}

absl::StatusOr<google::protobuf::Duration> ParseDuration(const std::string& flag,
                                                         const std::string& text) {
  absl::Duration duration;
  // Three centuries, which Duration in protobuf's JSON still takes.
  if (!absl::ParseDuration(text, &duration) || duration <= absl::ZeroDuration() ||
      duration > absl::Hours(24 * 365 * 300)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, ": expected a duration such as 90s or 1h30m; got '", text, "'"));
  }
  google::protobuf::Duration result;
  result.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &duration));
  result.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(duration)));
  return result;
}

absl::Status ApplyLimits(const JobFlags& flags, v1::JobSpec& spec) {
  struct Entry {
    const char* flag;
    const std::string& text;
    google::protobuf::Duration* (v1::JobLimits::*field)();
  };
  const Entry entries[] = {
      {"--timeout", flags.job_timeout, &v1::JobLimits::mutable_timeout},
      {"--task-timeout", flags.task_timeout, &v1::JobLimits::mutable_task_timeout},
      {"--max-task-time", flags.max_task_time, &v1::JobLimits::mutable_max_task_time},
      {"--max-worker-time", flags.max_worker_time, &v1::JobLimits::mutable_max_worker_time},
  };
  for (const Entry& entry : entries) {
    if (entry.text.empty()) continue;
    const auto duration = ParseDuration(entry.flag, entry.text);
    if (!duration.ok()) return duration.status();
    *(spec.mutable_limits()->*entry.field)() = *duration;
  }
  if (flags.max_evaluations) spec.mutable_limits()->set_max_evaluations(*flags.max_evaluations);
  return absl::OkStatus();
}

absl::Status ApplyJobFields(const JobFlags& flags, v1::Job& job) {
  if (!flags.display_name.empty()) job.set_display_name(flags.display_name);
  if (flags.priority) job.set_priority(*flags.priority);
  for (const std::string& label : flags.labels) {
    const auto pair = SplitPair("--label", label);
    if (!pair.ok()) return pair.status();
    (*job.mutable_labels())[pair->first] = pair->second;
  }
  return absl::OkStatus();
}

}  // namespace

std::vector<std::string> MetricWords() {
  std::vector<std::string> words;
  const auto* metrics = v1::EvaluationPlan::Metric_descriptor();
  for (int i = 0; i < metrics->value_count(); ++i) {
    if (metrics->value(i)->number() == v1::EvaluationPlan::METRIC_UNSPECIFIED) continue;
    words.push_back(
        absl::StrReplaceAll(absl::AsciiStrToLower(metrics->value(i)->name()), {{"_", "-"}}));
  }
  return words;
}

std::vector<std::string> RecipeWords(bool with_ensembles) {
  std::vector<std::string> words;
  for (const RecipeEntry& entry : kRecipes) {
    if (with_ensembles || !entry.is_ensemble) words.emplace_back(entry.word);
  }
  return words;
}

absl::Status ApplyJobFlags(const JobFlags& flags, v1::Job& job) {
  v1::JobSpec& spec = *job.mutable_spec();
  for (const auto apply :
       {ApplyIngredients, ApplyDataSets, ApplyChoices, ApplyRecipe, ApplyOutput, ApplyLimits}) {
    if (absl::Status status = apply(flags, spec); !status.ok()) return status;
  }
  absl::Status status = ApplyReading(flags, *spec.mutable_evaluation());
  if (status.ok()) status = ApplyInput(flags, *spec.mutable_model());
  if (status.ok()) status = ApplyJobFields(flags, job);
  // Once all is given: what flags follow from a place sees its name as it is.
  ForEachPlace(spec, [](const std::string& place) {
    return IsUriPattern(place) ? place : InMessage(place);
  });
  return status;
}

}  // namespace stockpot::cli
