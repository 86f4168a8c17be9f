#include "server/recipe/plan_state.h"

#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/str_cat.h"
#include "server/base/name_pattern.h"
#include "server/recipe/analysis.h"

namespace stockpot {
namespace {

std::string FieldOf(size_t data_set) {
  return data_set == 0 ? "spec.evaluation.held_out"
                       : absl::StrCat("spec.evaluation.report_sets[", data_set - 1, "]");
}

bool NeedsLogits(const RecipeSpec& recipe) {
  return IsEnsemble(recipe.kind) || recipe.ensemble_ranking != EnsembleRanking::kNone;
}

// The single ingredients' logits are kept when anything in the job is worked out from them.
bool JobKeepsLogits(const JobSpec& spec) {
  return NeedsLogits(spec.recipe) ||
         std::any_of(spec.comparisons.begin(), spec.comparisons.end(), NeedsLogits) ||
         spec.analysis.calibration ||
         (spec.analysis.pairs.has_value() && spec.analysis.pairs->approximation);
}

// By position, groups counted from 1; 0: a group of its own. Empty: there are no groups.
std::vector<int> GroupsOf(const JobSpec& spec) {
  std::map<std::string, int> numbers;
  std::vector<int> groups;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    const int next = static_cast<int>(numbers.size()) + 1;
    groups.push_back(
        ingredient.group.empty() ? 0 : numbers.emplace(ingredient.group, next).first->second);
  }
  return numbers.empty() ? std::vector<int>() : groups;
}

// Far from the ingredients a model may give no numbers (a BatchNorm variance below 0): that point
// is left out of the report.
bool IsNoNumber(const absl::Status& status) {
  return GetErrorFacts(status).reason == "NON_FINITE_OUTPUT";
}

bool UsesBaseWeights(const JobSpec& spec) {
  const auto mixes = [](const RecipeSpec& recipe) { return recipe.wise_ft.has_value(); };
  const auto& landscape = spec.analysis.landscape;
  return mixes(spec.recipe) ||
         std::any_of(spec.comparisons.begin(), spec.comparisons.end(), mixes) ||
         (landscape.has_value() &&
          std::count(std::begin(landscape->models), std::end(landscape->models), kBase) > 0);
}

}  // namespace

PlanState::PlanState(const JobSpec& spec, const PlanOptions& options, int speculation,
                     const Ledger& ledger, PlanCache* cache)
    : spec_(spec),
      options_(options),
      ledger_(ledger),
      cache_(cache),
      keeps_logits_(JobKeepsLogits(spec)),
      data_sets_(spec.data_sets.size()),
      classifiers_(spec.data_sets.size()) {
  Inspect();
  InspectOthers();
  if (inspected()) CheckMetric();
  if (!inspected() || !failure_.ok()) return;
  JudgeIngredients();
  if (usable_.empty() || !failure_.ok()) return;
  StartRuns(speculation);
  if (!decision().order.empty()) report_measures_ = FindReportMeasures();
  if (decision().done) write_task_ = MakeWriteTask();
  if (all_done()) analysis_tasks_ = AnalysisTasks(*this);
  FindFailure();
}

void PlanState::CheckMetric() {
  const bool binary =
      spec_.metric == Metric::kF1Binary || spec_.metric == Metric::kMeanOfAccuracyAndF1;
  if (!binary || data_sets_[0] == nullptr || data_sets_[0]->class_count <= 2) return;
  FailAtField(WithReason(absl::InvalidArgumentError(absl::StrCat(
                             MetricName(spec_.metric), " is of two classes, but there are ",
                             data_sets_[0]->class_count, ": F1_MACRO takes any number")),
                         "INVALID_FIELD"),
              absl::StrCat("data set ", spec_.data_sets[0].name), "spec.evaluation.metric");
}

void PlanState::FailAtField(const absl::Status& status, const std::string& context,
                            const std::string& field) {
  ErrorFacts facts;
  facts.violations = {{field, std::string(status.message())}};
  Fail(WithFacts(Annotate(status, context), facts));
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
  const Fact* architecture = Need(cache_->inspections().front());
  if (architecture != nullptr) {
    const ArchitectureFound* const found = Accept(
        cache_->Architecture(*architecture), absl::StrCat("architecture ", spec_.architecture_uri),
        "spec.model.architecture_uri");
    if (found != nullptr) architecture_ = *found;
  }
  for (size_t i = 0; i < spec_.data_sets.size(); ++i) {
    const Fact* fact = Need(cache_->inspections()[1 + i]);
    if (fact == nullptr) continue;
    data_sets_[i] = Accept(cache_->DataSet(i, *fact),
                           absl::StrCat("data set ", spec_.data_sets[i].name), FieldOf(i));
  }
  bool in_order = architecture != nullptr;
  for (size_t i = 0; i < spec_.ingredients.size(); ++i) {
    const Fact* fact = Need(cache_->ingredient_inspection(i));
    if (fact == nullptr) ++ingredients_missing_;
    in_order = in_order && fact != nullptr;
    if (!in_order) continue;
    problems_.push_back(cache_->Ingredient(i, *fact).problem);
    ++ingredients_told_;
  }
}

void PlanState::InspectOthers() {
  const Task* const base = cache_->base_inspection();
  if (const Fact* fact = base == nullptr ? nullptr : Need(*base)) {
    const char* const context = "the base model";
    const char* const field = "spec.model.base_uri";
    const CheckpointFound* const found = Accept(cache_->Base(*fact), context, field);
    if (found != nullptr && inspected() && failure_.ok()) {
      base_ = found;
      const absl::Status fits = CheckBase();
      if (!fits.ok()) FailAtField(fits, context, field);
    }
  }
  const Task* const batch_norm = cache_->batch_norm_inspection();
  if (const Fact* fact = batch_norm == nullptr ? nullptr : Need(*batch_norm)) {
    batch_norm_set_ = Accept(cache_->BatchNormSet(*fact), "the data set for BatchNorm",
                             "spec.batch_norm.data_set");
  }
  for (size_t i = 0; i < spec_.data_sets.size(); ++i) {
    const Task* const classifier = cache_->classifier_inspection(i);
    const Fact* const fact = classifier == nullptr ? nullptr : Need(*classifier);
    if (fact == nullptr) continue;
    classifiers_[i] = Accept(cache_->Classifier(i, *fact),
                             absl::StrCat("the classifier of ", spec_.data_sets[i].name),
                             absl::StrCat(FieldOf(i), ".classifier"));
  }
}

// Against the first usable ingredient too where both are mixed.
absl::Status PlanState::CheckBase() const {
  const CheckpointFound* first = nullptr;
  for (const InspectedIngredient& ingredient : cache_->ingredients()) {
    if (first == nullptr && ingredient.problem.ok()) first = &ingredient.found;
  }
  return CheckFits(*base_, architecture_, UsesBaseWeights(spec_) ? first : nullptr,
                   {spec_.excluded_tensors, {}, {}});
}

// Headers were compared before anything but a ranking by idle workers (DESIGN.md section 4).
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

RecipeOptions PlanState::OptionsOf(std::vector<int> ingredients, int speculation) const {
  RecipeOptions options;
  options.ingredients = std::move(ingredients);
  options.groups = GroupsOf(spec_);
  options.metric = spec_.metric;
  options.speculation = spec_.speculation > 0 ? spec_.speculation : speculation;
  options.full_scores = spec_.full_scores;
  options.reestimate = reestimates() && !spec_.batch_norm->final_soup_only;
  options.max_evaluations = Budget();
  return options;
}

std::vector<Blend> PlanState::EarlyMeasures() const {
  // With a base the selection of tensors depends on which ingredients are adapters, and gathered
  // statistics belong to what the recipe makes of it.
  const bool may_change = !spec_.base_uri.empty() || spec_.batch_norm.has_value() ||
                          spec_.recipe.order != CandidateOrder::kBestFirst;
  const bool others_known = missing_inspections_.size() == ingredients_missing_;
  if (inspected() || may_change || !others_known || !failure_.ok()) return {};
  std::vector<int> known;
  for (size_t i = 0; i < problems_.size(); ++i) {
    if (problems_[i].ok()) {
      known.push_back(static_cast<int>(i));
    } else if (!spec_.skip_bad_ingredients) {
      return {};
    }
  }
  if (known.empty()) return {};
  RecipeOptions options = OptionsOf(std::move(known), /*speculation=*/1);
  options.recipe = spec_.recipe;
  std::vector<Blend> early = MakeRecipe(std::move(options))->Next(*this).wanted;
  // What follows the ranking depends on all.
  early.erase(std::remove_if(early.begin(), early.end(),
                             [](const Blend& blend) { return blend.ingredients.size() != 1; }),
              early.end());
  return early;
}

void PlanState::StartRuns(int speculation) {
  // A budget is the shipped recipe's: comparisons are asked for, all of them.
  RecipeOptions options = OptionsOf(usable_, speculation);
  const auto start = [&](const RecipeSpec& recipe) {
    Run run;
    run.spec = &recipe;
    run.options = options;
    run.options.recipe = recipe;
    run.recipe = MakeRecipe(run.options);
    run.decision = run.recipe->Next(*this);
    runs_.push_back(std::move(run));
  };
  start(spec_.recipe);
  options.max_evaluations = kNoBudget;
  for (const RecipeSpec& recipe : spec_.comparisons) start(recipe);
  NameRuns();
}

// Looks in the order in which things are wanted, and no further than the first that is not known:
// so the failure told does not depend on which result came first, nor on speculation.
void PlanState::FindFailure() {
  for (const Run& run : runs_) {
    if (!FindFailureOf(run)) return;
    if (&run == &runs_[0] && !run.decision.done) return;
  }
  for (size_t i = 0; i < report_measures_.size(); ++i) {
    const auto& [data_set, blend] = report_measures_[i];
    if (i >= first_of_analyses_ && IsNoNumber(MeasureFailure(data_set, blend))) continue;
    if (!Check(data_set, blend)) return;
  }
  if (!all_done()) return;
  for (const AnalysisTask& task : analysis_tasks_) {
    const Fact* fact = ledger_.Find(task.key);
    if (fact == nullptr) return;
    if (fact->status.ok() || IsNoNumber(fact->status)) continue;
    return Fail(Annotate(fact->status, task.what));
  }
  if (const Fact* write = written()) {
    failure_ = Annotate(ReadSoupFound(*write).status(), "writing the soup");
  }
}

bool PlanState::FindFailureOf(const Run& run) {
  for (size_t i = 0; i < run.decision.required; ++i) {
    if (!Check(0, run.decision.wanted[i])) return false;
  }
  if (!run.decision.learn.has_value()) return true;
  const Fact* epoch = FindEpoch(run.spec->learn, *run.decision.learn);
  if (epoch == nullptr) return false;
  const auto& learned = cache_->Learned(*epoch, run.decision.learn->ingredients.size());
  Fail(Annotate(learned.status(),
                absl::StrCat("epoch ", run.decision.learn->epoch + 1, " of the learned soup")));
  return failure_.ok();
}

bool PlanState::Check(int data_set, const Blend& blend) {
  if (!Look(data_set, blend).known) return false;
  const absl::Status status = MeasureFailure(data_set, blend);
  if (status.ok()) return true;
  const std::string& name = spec_.data_sets[size_t(data_set)].name;
  ErrorFacts facts;
  facts.metadata = {{"data_set", name}};
  std::string what =
      absl::StrCat(blend.ensemble ? "ensemble of " : "soup of ", blend.ingredients.size());
  if (blend.ingredients.size() == 1) {
    facts.metadata["ingredient"] = NameOf(blend.ingredients[0]);
    what = absl::StrCat("ingredient '", NameOf(blend.ingredients[0]), "'");
  }
  Fail(WithFacts(Annotate(status, absl::StrCat(what, " on ", name)), facts));
  return false;
}

bool PlanState::all_done() const {
  return std::all_of(runs_.begin(), runs_.end(), [](const Run& run) { return run.decision.done; });
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
  if (spec_.max_worker_time == absl::InfiniteDuration() || runs_.empty() || decision().done ||
      decision().evaluations == 0) {
    return task;
  }
  return cache_->end_budget();
}

std::string PlanState::StoppedBecause() const {
  if (runs_.empty() || !decision().done || decision().untried == 0) return "";
  const bool by_time = ledger_.Find(cache_->end_budget().key) != nullptr;
  return absl::StrCat(by_time ? "max_worker_time" : "max_evaluations", ": ended after ",
                      decision().evaluations, " passes over ", spec_.data_sets[0].name, "; ",
                      decision().untried, " of ", usable_.size(), " ingredients were not tried");
}

std::vector<std::string> PlanState::AveragedTensors() const {
  std::set<std::string> names;
  for (const InspectedIngredient& ingredient : cache_->ingredients()) {
    for (const TensorSignature& tensor : ingredient.found.tensors) {
      if (MatchesAny(spec_.excluded_tensors, tensor.name)) continue;
      if (!MatchesAny(spec_.tensors_from_base, tensor.name)) names.insert(tensor.name);
    }
    if (!names.empty()) break;  // they are kept for the first usable one alone
  }
  if (base_ == nullptr) return {names.begin(), names.end()};
  for (const TensorSignature& tensor : base_->tensors) {
    if (MatchesAny(spec_.excluded_tensors, tensor.name)) continue;
    if (MatchesAny(spec_.tensors_from_base, tensor.name)) names.insert(tensor.name);
  }
  return {names.begin(), names.end()};
}

std::vector<std::string> PlanState::NamesOf(const Blend& blend) const {
  std::vector<std::string> names;
  for (int ingredient : blend.ingredients) names.push_back(NameOf(ingredient));
  return names;
}

}  // namespace stockpot
