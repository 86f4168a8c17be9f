#include "server/recipe/plan_state.h"

#include <algorithm>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

absl::Status AtField(const absl::Status& status, const std::string& context,
                     const std::string& field) {
  ErrorFacts facts;
  facts.violations = {{field, std::string(status.message())}};
  return WithFacts(Annotate(status, context), facts);
}

// Half the examples take half the room, and may spare a model what made it fail.
bool IsWorthHalving(const absl::Status& status) {
  const std::string reason = GetErrorFacts(status).reason;
  return reason == "OUT_OF_MEMORY" || reason == "MODEL_FAILED";
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

PlanState::PlanState(const JobSpec& spec, const PlanOptions& options, int speculation,
                     const Ledger& ledger, PlanCache* cache)
    : spec_(spec),
      options_(options),
      ledger_(ledger),
      cache_(cache),
      data_sets_(spec.data_sets.size()) {
  Inspect();
  if (!inspected() || !failure_.ok()) return;
  JudgeIngredients();
  if (usable_.empty() || !failure_.ok()) return;
  RecipeOptions recipe_options = OptionsFor(spec, speculation, usable_);
  recipe_options.max_evaluations = Budget();
  recipe_ = spec.recipe == RecipeKind::kGreedy ? MakeGreedyRecipe(std::move(recipe_options))
                                               : MakeUniformRecipe(std::move(recipe_options));
  decision_ = recipe_->Next(*this);
  FindFailure();
}

const Fact* PlanState::Need(const Task& task) {
  const Fact* fact = ledger_.Find(task.key);
  if (fact == nullptr) {
    missing_inspections_.push_back(&task);
  } else {
    ++inspections_done_;
  }
  return fact;
}

void PlanState::Inspect() {
  auto fail = [this](const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  };
  const Fact* architecture = Need(cache_->inspections().front());
  if (architecture != nullptr) {
    const absl::StatusOr<ArchitectureFound>& found = cache_->Architecture(*architecture);
    if (found.ok()) {
      architecture_ = *found;
    } else {
      fail(AtField(found.status(), absl::StrCat("architecture ", spec_.architecture_uri),
                   "spec.model.architecture_uri"));
    }
  }
  for (size_t i = 0; i < spec_.data_sets.size(); ++i) {
    const Fact* fact = Need(cache_->inspections()[1 + i]);
    if (fact == nullptr) continue;
    const absl::StatusOr<DataSetFound>& found = cache_->DataSet(i, *fact);
    if (found.ok()) {
      data_sets_[i] = &*found;
    } else {
      fail(AtField(found.status(), absl::StrCat("data set ", spec_.data_sets[i].name),
                   i == 0 ? "spec.evaluation.held_out"
                          : absl::StrCat("spec.evaluation.report_sets[", i - 1, "]")));
    }
  }
  bool in_order = architecture != nullptr;
  for (size_t i = 0; i < spec_.ingredients.size(); ++i) {
    const Fact* fact = Need(cache_->ingredient_inspection(i));
    in_order = in_order && fact != nullptr;
    if (!in_order) continue;
    problems_.push_back(cache_->Ingredient(i, *fact).problem);
    ++ingredients_told_;
  }
}

// Headers were compared before anything is evaluated (DESIGN.md section 4).
void PlanState::JudgeIngredients() {
  for (size_t i = 0; i < problems_.size(); ++i) {
    const int index = static_cast<int>(i);
    if (problems_[i].ok() && spec_.skip_bad_ingredients) {
      // A model that fails by itself, on the held-out set, is as bad as one that cannot be read.
      problems_[i] = MeasureFailure(0, Blend{{index}, {}});
    }
    if (problems_[i].ok()) usable_.push_back(index);
  }
  if (usable_.size() < problems_.size() && (!spec_.skip_bad_ingredients || usable_.empty())) {
    failure_ = BadIngredients();
  }
}

absl::Status PlanState::BadIngredients() const {
  // All are counted; a sweep of a thousand is not all spelled out.
  constexpr size_t kMostNamed = 100;
  constexpr size_t kMostBytes = 400;
  ErrorFacts facts;
  size_t first = problems_.size();
  size_t count = 0;
  for (size_t i = 0; i < problems_.size(); ++i) {
    if (problems_[i].ok()) continue;
    first = std::min(first, i);
    if (++count > kMostNamed) continue;
    facts.violations.push_back({absl::StrCat("spec.ingredients[", i, "]"),
                                absl::StrCat(NameOf(static_cast<int>(i)), ": ",
                                             problems_[i].message().substr(0, kMostBytes))});
  }
  const std::string name = NameOf(static_cast<int>(first));
  facts.metadata = {{"ingredient", name}};
  absl::Status status = Annotate(problems_[first], absl::StrCat("ingredient '", name, "'"));
  if (count > 1) {
    status = Annotate(status, absl::StrCat(count, " of ", problems_.size(),
                                           " ingredients cannot be used, the first"));
  }
  return WithFacts(status, facts);
}

// Looks in the order in which measures are wanted, and no further than the first that is not known:
// so the failure told does not depend on which result came first, nor on speculation.
void PlanState::FindFailure() {
  std::vector<std::pair<int, Blend>> needed;
  for (size_t i = 0; i < decision_.required; ++i) needed.emplace_back(0, decision_.wanted[i]);
  if (decision_.done) needed = ReportMeasures();
  for (const auto& [data_set, blend] : needed) {
    if (!Look(data_set, blend).known) return;
    const absl::Status status = MeasureFailure(data_set, blend);
    if (status.ok()) continue;
    ErrorFacts facts;
    facts.metadata = {{"data_set", spec_.data_sets[data_set].name}};
    std::string what = absl::StrCat("soup of ", blend.ingredients.size());
    if (blend.ingredients.size() == 1) {
      facts.metadata["ingredient"] = NameOf(blend.ingredients[0]);
      what = absl::StrCat("ingredient '", NameOf(blend.ingredients[0]), "'");
    }
    failure_ = WithFacts(
        Annotate(status, absl::StrCat(what, " on ", spec_.data_sets[data_set].name)), facts);
    return;
  }
  if (!decision_.done) return;
  if (const Fact* write = written()) {
    failure_ = Annotate(ReadSoupFound(*write).status(), "writing the soup");
  }
}

std::vector<std::string> PlanState::NamesOf(const Blend& blend) const {
  std::vector<std::string> names;
  for (int ingredient : blend.ingredients) names.push_back(NameOf(ingredient));
  return names;
}

MeasureInputs PlanState::InputsFor(int data_set, const Blend& blend, int batch_size) const {
  MeasureInputs inputs;
  inputs.architecture_uri = spec_.architecture_uri;
  inputs.architecture_digest = architecture_.digest;
  inputs.bindings = spec_.inputs;
  for (int ingredient : blend.ingredients) {
    const size_t index = static_cast<size_t>(ingredient);
    inputs.ingredients.push_back(
        {spec_.ingredients[index].uri, cache_->ingredients()[index].found.digest});
  }
  inputs.coefficients = blend.coefficients;
  inputs.dtype = spec_.dtype;
  inputs.data_set = spec_.data_sets[data_set];
  inputs.data_set_digest = data_sets_[data_set]->digest;
  inputs.example_count = data_sets_[data_set]->example_count;
  inputs.batch_size = batch_size;
  inputs.numerics = architecture_.numerics;
  if (spec_.measure_again) inputs.scope = options_.scope;
  return inputs;
}

const PlanCache::Measure& PlanState::Cached(int data_set, const Blend& blend, bool half,
                                            bool* known) const {
  PlanCache::Measure& measure = cache_->FindMeasure(data_set, blend, half, [&] {
    return MeasureKey(InputsFor(data_set, blend, half ? spec_.batch_size / 2 : spec_.batch_size));
  });
  const Fact* fact = ledger_.Find(measure.key);
  *known = fact != nullptr;
  if (*known && !measure.score.has_value()) {
    measure.score = ReadScore(*fact);
    if (measure.score->ok()) (*measure.score)->batch_size = measure.batch_size;
  }
  return measure;
}

PlanState::CachedMeasure PlanState::Cached(int data_set, const Blend& blend) const {
  CachedMeasure cached;
  cached.measure = &Cached(data_set, blend, /*half=*/false, &cached.known);
  if (!cached.known || spec_.batch_size < 2 || !IsWorthHalving(cached.measure->score->status())) {
    return cached;
  }
  cached.halved_because = cached.measure->score->status();
  cached.measure = &Cached(data_set, blend, /*half=*/true, &cached.known);
  return cached;
}

int64_t PlanState::Budget() const {
  int64_t budget = spec_.max_evaluations > 0 ? spec_.max_evaluations : kNoBudget;
  const Fact* end = ledger_.Find(cache_->end_budget().key);
  if (end == nullptr) return budget;
  const absl::StatusOr<int64_t> evaluations = ReadEndBudget(*end);
  return evaluations.ok() ? std::min(budget, *evaluations) : budget;
}

Task PlanState::EndBudget() const {
  Task task;
  if (spec_.max_worker_time == absl::InfiniteDuration() || recipe_ == nullptr || decision_.done ||
      decision_.evaluations == 0) {
    return task;
  }
  return cache_->end_budget();
}

std::string PlanState::StoppedBecause() const {
  if (recipe_ == nullptr || !decision_.done || decision_.untried == 0) return "";
  const bool by_time = ledger_.Find(cache_->end_budget().key) != nullptr;
  return absl::StrCat(by_time ? "max_worker_time" : "max_evaluations", ": ended after ",
                      decision_.evaluations, " passes over ", spec_.data_sets[0].name, "; ",
                      decision_.untried, " of ", usable_.size(), " ingredients were not tried");
}

PlanState::Measure PlanState::Look(int data_set, const Blend& blend) const {
  const CachedMeasure cached = Cached(data_set, blend);
  const PlanCache::Measure& measure = *cached.measure;
  if (!cached.known || !measure.score->ok()) {
    return {measure.key, cached.known, std::nullopt, cached.halved_because};
  }
  return {measure.key, cached.known, **measure.score, cached.halved_because};
}

std::optional<Score> PlanState::Find(int data_set, const Blend& blend) const {
  return Look(data_set, blend).score;
}

absl::Status PlanState::MeasureFailure(int data_set, const Blend& blend) const {
  const CachedMeasure cached = Cached(data_set, blend);
  return cached.known ? cached.measure->score->status() : absl::OkStatus();
}

Task PlanState::MeasureTaskFor(int data_set, const Blend& blend) const {
  Task task = MeasureTask(InputsFor(data_set, blend, Cached(data_set, blend).measure->batch_size));
  const std::string names = blend.ingredients.size() == 1
                                ? NameOf(blend.ingredients[0])
                                : absl::StrCat("soup of ", blend.ingredients.size(), " with ",
                                               NameOf(blend.ingredients.back()));
  task.description = absl::StrCat(names, " on ", spec_.data_sets[data_set].name);
  return task;
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
  absl::flat_hash_set<std::string> seen;
  auto add = [&](int data_set, const Blend& blend) {
    if (seen.insert(Look(data_set, blend).key).second) measures.emplace_back(data_set, blend);
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
  const MeasureInputs inputs = InputsFor(0, decision_.soup, spec_.batch_size);
  Json ingredients = Json::array();
  for (size_t i = 0; i < inputs.ingredients.size(); ++i) {
    ingredients.push_back({{"name", NameOf(decision_.soup.ingredients[i])},
                           {"uri", inputs.ingredients[i].uri},
                           {"sha256", inputs.ingredients[i].digest},
                           {"coefficient", 1.0 / static_cast<double>(inputs.ingredients.size())}});
  }
  WriteSoupInputs write;
  write.scope = options_.scope;
  write.ingredients = inputs.ingredients;
  write.coefficients = decision_.soup.coefficients;
  write.dtype = spec_.dtype;
  write.folder = options_.artifact_folder;
  // "format": "pt" is what Python readers of safetensors look for.
  write.metadata = {{"format", "pt"},
                    {"stockpot.software", options_.software},
                    {"stockpot.job", options_.job},
                    {"stockpot.recipe", recipe_->version()},
                    {"stockpot.ingredients", DumpJson(ingredients)},
                    {"stockpot.architecture", architecture_.digest},
                    {"stockpot.numerics", architecture_.numerics},
                    {"stockpot.data_sets", DumpJson(ScoresForMetadata())}};
  write.format = spec_.output_format;
  write.max_shard_bytes = spec_.max_shard_bytes;
  return WriteSoupTask(write);
}

// The held-out set alone: the report sets may still be measured while the soup is written.
Json PlanState::ScoresForMetadata() const {
  const std::optional<Score> score = Find(0, decision_.soup);
  return {{{"name", spec_.data_sets[0].name},
           {"sha256", data_sets_[0]->digest},
           {"score", score.has_value() ? ScoreJson(*score) : Json()}}};
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
          {"cross_entropy", score.cross_entropy_sum / count},
          {"batch_size", score.batch_size}};
}

Json StepJson(const RecipeStep& step, const std::string& candidate) {
  return {{"candidate", candidate},
          {"accepted", step.accepted},
          {"score", ScoreJson(step.score)},
          {"soup_size", step.soup_size}};
}

}  // namespace stockpot
