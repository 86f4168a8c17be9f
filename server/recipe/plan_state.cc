#include "server/recipe/plan_state.h"

#include <algorithm>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace stockpot {
namespace {

absl::Status AtField(const absl::Status& status, const std::string& context,
                     const std::string& field) {
  ErrorFacts facts;
  facts.violations = {{field, std::string(status.message())}};
  return WithFacts(Annotate(status, context), facts);
}

RecipeOptions OptionsFor(const JobSpec& spec, int default_speculation, std::vector<int> usable) {
  RecipeOptions options;
  options.ingredients = std::move(usable);
  options.metric = spec.metric;
  options.acceptance = spec.acceptance;
  options.speculation = spec.speculation > 0 ? spec.speculation : default_speculation;
  return options;
}

}  // namespace

PlanState::PlanState(const JobSpec& spec, const PlanOptions& options, const Ledger& ledger,
                     MeasureKeys* keys)
    : spec_(spec), options_(options), ledger_(ledger), keys_(keys) {
  data_sets_.resize(spec.data_sets.size());
  ingredients_.resize(spec.ingredients.size());
  Inspect(ledger);
  if (!inspected() || !failure_.ok()) return;
  JudgeIngredients();
  if (!failure_.ok()) return;
  RecipeOptions recipe_options = OptionsFor(spec, options.speculation, usable_);
  recipe_ = spec.recipe == RecipeKind::kGreedy ? MakeGreedyRecipe(std::move(recipe_options))
                                               : MakeUniformRecipe(std::move(recipe_options));
  decision_ = recipe_->Next(*this);
  FindMeasureFailures();
}

const Fact* PlanState::Need(const Ledger& ledger, Task task) {
  const Fact* fact = ledger.Find(task.key);
  if (fact == nullptr) {
    missing_inspections_.push_back(std::move(task));
  } else {
    ++inspections_done_;
  }
  return fact;
}

void PlanState::Inspect(const Ledger& ledger) {
  auto fail = [this](const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  };
  if (const Fact* fact =
          Need(ledger, InspectArchitectureTask(options_.job, spec_.architecture_uri))) {
    absl::StatusOr<ArchitectureFound> found = ReadArchitectureFound(*fact);
    if (found.ok()) {
      architecture_ = *std::move(found);
    } else {
      fail(AtField(found.status(), absl::StrCat("architecture ", spec_.architecture_uri),
                   "spec.model.architecture_uri"));
    }
  }
  for (size_t i = 0; i < spec_.data_sets.size(); ++i) {
    const Fact* fact = Need(ledger, InspectDataSetTask(options_.job, spec_.data_sets[i]));
    if (fact == nullptr) continue;
    absl::StatusOr<DataSetFound> found = ReadDataSetFound(*fact);
    if (found.ok()) {
      data_sets_[i] = *std::move(found);
    } else {
      fail(AtField(found.status(), absl::StrCat("data set ", spec_.data_sets[i].name),
                   i == 0 ? "spec.evaluation.held_out"
                          : absl::StrCat("spec.evaluation.report_sets[", i - 1, "]")));
    }
  }
  InspectIngredients(ledger);
}

void PlanState::InspectIngredients(const Ledger& ledger) {
  std::map<std::string, int> first_with;
  for (size_t i = 0; i < spec_.ingredients.size(); ++i) {
    Ingredient& ingredient = ingredients_[i];
    ingredient.fact = Need(ledger, InspectCheckpointTask(options_.job, spec_.ingredients[i].uri));
    if (ingredient.fact == nullptr) continue;
    absl::StatusOr<CheckpointFound> found = ReadCheckpointFound(*ingredient.fact);
    if (!found.ok()) {
      ingredient.problem = found.status();
      continue;
    }
    ingredient.found = *std::move(found);
    auto [same, is_first] = first_with.emplace(ingredient.found.digest, static_cast<int>(i));
    if (!is_first) ingredient.identical_to = same->second;
  }
}

// Compares headers before anything is evaluated (DESIGN.md section 4).
void PlanState::JudgeIngredients() {
  const CheckpointFound* first = nullptr;
  for (size_t i = 0; i < ingredients_.size(); ++i) {
    Ingredient& ingredient = ingredients_[i];
    if (ingredient.problem.ok()) {
      ingredient.problem = CheckFits(ingredient.found, architecture_, first);
    }
    if (ingredient.problem.ok() && spec_.skip_bad_ingredients) {
      // A model that fails by itself, on the held-out set, is as bad as one that cannot be read.
      const Fact* fact = ledger_.Find(KeyOf(0, Blend{{static_cast<int>(i)}, {}}));
      if (fact != nullptr) ingredient.problem = fact->status;
    }
    if (!ingredient.problem.ok()) continue;
    if (first == nullptr) first = &ingredient.found;
    usable_.push_back(static_cast<int>(i));
  }
  if (usable_.size() < ingredients_.size() && (!spec_.skip_bad_ingredients || usable_.empty())) {
    failure_ = BadIngredients();
  }
}

absl::Status PlanState::BadIngredients() const {
  ErrorFacts facts;
  absl::Status first;
  std::string first_name;
  for (size_t i = 0; i < ingredients_.size(); ++i) {
    const absl::Status& problem = ingredients_[i].problem;
    if (problem.ok()) continue;
    if (first.ok()) {
      first = problem;
      first_name = NameOf(static_cast<int>(i));
    }
    facts.violations.push_back(
        {absl::StrCat("spec.ingredients[", i, "]"),
         absl::StrCat(NameOf(static_cast<int>(i)), ": ", problem.message())});
  }
  facts.metadata = {{"ingredient", first_name}};
  const size_t more = facts.violations.size() - 1;
  absl::Status status = Annotate(first, absl::StrCat("ingredient '", first_name, "'"));
  if (more > 0) {
    status = Annotate(status, absl::StrCat(more + 1, " of ", ingredients_.size(),
                                           " ingredients cannot be used, the first"));
  }
  return WithFacts(status, facts);
}

void PlanState::FindMeasureFailures() {
  std::vector<std::pair<int, Blend>> wanted;
  for (const Blend& blend : decision_.wanted) wanted.emplace_back(0, blend);
  if (decision_.done) wanted = ReportMeasures();
  for (const auto& [data_set, blend] : wanted) {
    const Fact* fact = ledger_.Find(KeyOf(data_set, blend));
    if (fact == nullptr || fact->status.ok()) continue;
    ErrorFacts facts;
    facts.metadata = {{"data_set", spec_.data_sets[data_set].name}};
    if (blend.ingredients.size() == 1) facts.metadata["ingredient"] = NameOf(blend.ingredients[0]);
    const std::string what = blend.ingredients.size() == 1
                                 ? absl::StrCat("ingredient '", NameOf(blend.ingredients[0]), "'")
                                 : absl::StrCat("soup of ", blend.ingredients.size());
    failure_ = WithFacts(
        Annotate(fact->status, absl::StrCat(what, " on ", spec_.data_sets[data_set].name)), facts);
    return;
  }
  if (decision_.done) {
    const Fact* write = written();
    if (write != nullptr && !write->status.ok()) {
      failure_ = Annotate(write->status, "writing the soup");
    }
  }
}

std::vector<std::string> PlanState::NamesOf(const Blend& blend) const {
  std::vector<std::string> names;
  for (int ingredient : blend.ingredients) names.push_back(NameOf(ingredient));
  return names;
}

MeasureInputs PlanState::InputsFor(int data_set, const Blend& blend) const {
  MeasureInputs inputs;
  inputs.architecture_uri = spec_.architecture_uri;
  inputs.architecture_digest = architecture_.digest;
  inputs.bindings = spec_.inputs;
  for (int ingredient : blend.ingredients) {
    inputs.ingredients.push_back(
        {spec_.ingredients[ingredient].uri, ingredients_[ingredient].found.digest});
  }
  inputs.coefficients = blend.coefficients;
  inputs.dtype = spec_.dtype;
  inputs.data_set = spec_.data_sets[data_set];
  inputs.data_set_digest = data_sets_[data_set]->digest;
  inputs.example_count = data_sets_[data_set]->example_count;
  inputs.batch_size = spec_.batch_size;
  inputs.numerics = architecture_.numerics;
  return inputs;
}

std::string PlanState::KeyOf(int data_set, const Blend& blend) const {
  auto found = keys_->keys.find({data_set, blend});
  if (found == keys_->keys.end()) {
    found = keys_->keys.emplace(std::pair(data_set, blend), MeasureKey(InputsFor(data_set, blend)))
                .first;
  }
  return found->second;
}

Task PlanState::MeasureTaskFor(int data_set, const Blend& blend) const {
  Task task = MeasureTask(InputsFor(data_set, blend));
  const std::string names = blend.ingredients.size() == 1
                                ? NameOf(blend.ingredients[0])
                                : absl::StrCat("soup of ", blend.ingredients.size(), " with ",
                                               NameOf(blend.ingredients.back()));
  task.description = absl::StrCat(names, " on ", spec_.data_sets[data_set].name);
  return task;
}

std::optional<Score> PlanState::Find(int data_set, const Blend& blend) const {
  const Fact* fact = ledger_.Find(KeyOf(data_set, blend));
  if (fact == nullptr || !fact->status.ok()) return std::nullopt;
  absl::StatusOr<Score> score = ReadScore(*fact);
  if (!score.ok()) return std::nullopt;
  return *score;
}

std::vector<PlanState::NamedBlend> PlanState::NamedBlends() const {
  std::vector<NamedBlend> blends;
  if (!decision_.order.empty()) {
    blends.push_back({"best_single", Blend{{decision_.order.front()}, {}}});
  }
  blends.push_back({"uniform", Blend{usable_, {}}});
  if (decision_.done && spec_.recipe == RecipeKind::kGreedy) {
    blends.push_back({"greedy", decision_.soup});
  }
  return blends;
}

std::vector<std::pair<int, Blend>> PlanState::ReportMeasures() const {
  std::vector<std::pair<int, Blend>> measures;
  std::set<std::pair<int, Blend>> seen;
  auto add = [&](int data_set, const Blend& blend) {
    if (seen.emplace(data_set, blend).second) measures.emplace_back(data_set, blend);
  };
  for (int data_set = 0; data_set < static_cast<int>(spec_.data_sets.size()); ++data_set) {
    for (const NamedBlend& named : NamedBlends()) add(data_set, named.blend);
    if (!spec_.report_every_ingredient) continue;
    for (int ingredient : usable_) add(data_set, Blend{{ingredient}, {}});
  }
  return measures;
}

std::string PlanState::ChosenKind() const {
  if (spec_.recipe == RecipeKind::kUniform) return "uniform";
  return decision_.soup.ingredients.size() == 1 ? "best_single" : "greedy";
}

Task PlanState::WriteTask() const {
  const MeasureInputs inputs = InputsFor(0, decision_.soup);
  Json ingredients = Json::array();
  for (size_t i = 0; i < inputs.ingredients.size(); ++i) {
    ingredients.push_back({{"name", NameOf(decision_.soup.ingredients[i])},
                           {"sha256", inputs.ingredients[i].digest},
                           {"coefficient", 1.0 / static_cast<double>(inputs.ingredients.size())}});
  }
  WriteSoupInputs write;
  write.job = options_.job;
  write.ingredients = inputs.ingredients;
  write.coefficients = decision_.soup.coefficients;
  write.dtype = spec_.dtype;
  write.folder = options_.artifact_folder;
  // "format": "pt" is what Python readers of safetensors look for.
  write.metadata = {{"format", "pt"},
                    {"stockpot.software", options_.software},
                    {"stockpot.job", options_.job},
                    {"stockpot.recipe", recipe_->version()},
                    {"stockpot.ingredients", ingredients.dump()}};
  return WriteSoupTask(write);
}

const Fact* PlanState::written() const { return ledger_.Find(WriteTask().key); }

Json ScoreJson(const Score& score) {
  const double count = score.example_count > 0 ? static_cast<double>(score.example_count) : 1.0;
  return {{"example_count", score.example_count},
          {"top1_correct", score.top1_correct},
          {"top5_correct", score.top5_correct},
          {"cross_entropy_sum", score.cross_entropy_sum},
          {"top1", static_cast<double>(score.top1_correct) / count},
          {"top5", static_cast<double>(score.top5_correct) / count},
          {"cross_entropy", score.cross_entropy_sum / count}};
}

Json StepJson(const RecipeStep& step, const std::string& candidate) {
  return {{"candidate", candidate},
          {"accepted", step.accepted},
          {"score", ScoreJson(step.score)},
          {"soup_size", step.soup_size}};
}

}  // namespace stockpot
