#include "server/recipe/plan.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

// Short, and another one for another list (64-bit FNV-1a).
std::string ListDigest(const std::vector<int>& ingredients) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const int ingredient : ingredients) {
    hash = (hash ^ static_cast<uint32_t>(ingredient)) * 0x100000001b3;
  }
  return absl::StrCat(absl::Hex(hash));
}

// Turns what is known into one decision: tells, counts, and collects what is wanted.
class DecisionBuilder {
 public:
  DecisionBuilder(const JobSpec& spec, const PlanState& state, const NextOptions& options)
      : spec_(spec), state_(state), options_(options) {}

  PlanDecision Build() {
    TellInspections();
    result_.tasks_done = static_cast<int64_t>(state_.inspections_done());
    result_.tasks_total =
        result_.tasks_done + static_cast<int64_t>(state_.missing_inspections().size());
    if (!state_.inspected()) {
      for (const Task* task : state_.missing_inspections()) Want(task->key, [&] { return *task; });
      result_.required = result_.wanted.size();
      // A worker that has nothing to inspect measures what is known: told once all is inspected.
      for (const Blend& blend : state_.EarlyMeasures()) {
        const PlanState::Measure measure = state_.Look(0, blend);
        if (!measure.known) Want(measure.key, [&] { return state_.MeasureTaskFor(0, blend); });
      }
      result_.activity = "inspecting the ingredients and data sets";
      return std::move(result_);
    }
    if (state_.recipe() != nullptr) FollowRecipe();
    if (!state_.failure().ok()) {
      result_.finished = true;
      result_.failure = state_.failure();
      result_.wanted.clear();
      result_.required = 0;
      result_.truncated = false;
    }
    return std::move(result_);
  }

 private:
  template <typename MakeBody>
  void Tell(std::string key, const char* event, MakeBody make_body, std::string fact = "") {
    if (options_.told != nullptr && options_.told->contains(key)) return;
    result_.milestones.push_back({std::move(key), Json{{event, make_body()}}, std::move(fact)});
  }

  template <typename MakeTask>
  void Want(const std::string& key, MakeTask make_task) {
    if (wanted_.contains(key)) return;
    const size_t most = state_.inspected() ? std::min(options_.max_wanted, options_.max_measures)
                                           : options_.max_wanted;
    if (result_.wanted.size() >= most) {
      result_.truncated = true;
      return;
    }
    wanted_.insert(key);
    result_.wanted.push_back(make_task());
  }

  // In the spec's order: an ingredient is told once all before it are known, so that "identical
  // to" does not depend on the order of arrival.
  void TellInspections() {
    for (size_t i = 0; i < spec_.data_sets.size(); ++i) {
      const DataSetFound* found = state_.data_set(static_cast<int>(i));
      if (found == nullptr) continue;
      Tell(absl::StrCat("data_set/", i), "data_set_inspected", [&] {
        return Json{{"data_set",
                     {{"name", spec_.data_sets[i].name},
                      {"digest", found->digest},
                      {"example_count", found->example_count},
                      {"class_count", found->class_count}}}};
      });
    }
    for (size_t i = 0; i < state_.ingredients_told(); ++i) {
      const InspectedIngredient& ingredient = state_.ingredient(i);
      // A retried job tells of an ingredient again once it is mended.
      Tell(absl::StrCat("inspected/", i, ingredient.problem.ok() ? "" : "/problem"),
           "ingredient_inspected", [&] {
             const int same = ingredient.identical_to;
             return Json{{"display_name", spec_.ingredients[i].display_name},
                         {"digest", ingredient.found.digest},
                         {"notes", ingredient.found.notes},
                         {"identical_to", same < 0 ? "" : state_.NameOf(same)},
                         {"problem", std::string(ingredient.problem.message())}};
           });
    }
  }

  // Tells of a measure when it is known; else wants it, when `want`. With a bar it is enough to
  // know that the blend does not clear it.
  void Consider(int data_set, const Blend& blend, bool want, const Bar* bar = nullptr) {
    const PlanState::Measure measure = state_.Look(data_set, blend);
    const std::string& key = measure.key;
    const Fact* const rejection = bar == nullptr || measure.known || key.empty()
                                      ? nullptr
                                      : state_.FindNotBetter(blend, *bar);
    if (measure.score.has_value()) {
      // A rejected candidate's score may be known by chance: that is not told.
      if (bar == nullptr) TellMeasured(data_set, blend, measure);
    } else if (rejection == nullptr) {
      if (!want || measure.known || key.empty()) return;
      Want(key, [&] { return state_.MeasureTaskFor(data_set, blend, bar); });
    }
    if (!counted_.insert(rejection == nullptr ? key : rejection->key).second) return;
    const int64_t examples = state_.data_set(data_set)->example_count;
    ++result_.tasks_total;
    result_.examples_total += examples;
    if (!measure.known && rejection == nullptr) return;
    ++result_.tasks_done;
    result_.examples_done += examples;
  }

  void TellMeasured(int data_set, const Blend& blend, const PlanState::Measure& measure) {
    // Not before: speculation may halve what turns out not to matter.
    if (!measure.halved_because.ok()) TellHalved(data_set, blend, measure);
    // Equal content under two names is told under both.
    Tell(
        absl::StrCat("measured/", data_set, "/", ListDigest(blend.ingredients), "/", measure.key),
        "blend_measured",
        [&] {
          Json body = {{"ingredients", state_.NamesOf(blend)},
                       {"data_set", spec_.data_sets[static_cast<size_t>(data_set)].name},
                       {"score", ScoreJson(*measure.score, spec_.problem)}};
          if (!blend.coefficients.empty()) body["coefficients"] = MeanCoefficients(blend);
          if (blend.ensemble) body["ensemble"] = true;
          return body;
        },
        measure.key);
  }

  void TellHalved(int data_set, const Blend& blend, const PlanState::Measure& measure) {
    Tell(absl::StrCat("halved/", measure.key), "attempt_failed", [&] {
      return Json{{"task", state_.MeasureTaskFor(data_set, blend).description},
                  {"attempt", 1},
                  {"message", absl::StrCat(measure.halved_because.message(),
                                           "; once more with batches of ", spec_.batch_size / 2)},
                  {"will_retry", true}};
    });
  }

  void FollowRecipe() {
    const PlanState::Run& run = state_.runs().front();
    const Decision& decision = run.decision;
    result_.end_budget = state_.EndBudget();
    result_.evaluations = decision.evaluations;
    const absl::flat_hash_set<int> considered(decision.considered.begin(),
                                              decision.considered.end());
    // What was asked for before a budget ended stays told.
    for (int ingredient : state_.usable()) {
      Consider(0, Blend{{ingredient}, {}}, considered.contains(ingredient));
    }
    FollowRun(run);
    TellSteps();
    // The baselines do not wait for the recipe: a worker that has nothing else to do measures them.
    if (!decision.order.empty()) {
      for (size_t i = 1; i < state_.runs().size(); ++i) FollowRun(state_.runs()[i]);
      for (const auto& [data_set, blend] : state_.ReportMeasures()) Consider(data_set, blend, true);
    }
    // Last: what may turn out not to matter is for workers that have nothing else to do.
    for (const PlanState::Run& each : state_.runs()) {
      if (&each == &run || !decision.order.empty()) LookAhead(each);
    }
    if (!decision.done) return EstimateRest();
    if (state_.all_done()) Analyse();
    WriteSoup();
    result_.required = result_.wanted.size();
    result_.activity = "measuring the report sets and writing the soup";
    result_.finished = result_.wanted.empty() && state_.all_done();
  }

  // What one recipe asked for, and asks for now.
  void FollowRun(const PlanState::Run& run) {
    const bool is_first = &run == &state_.runs().front();
    const bool ensemble = run.spec->kind == RecipeKind::kGreedyLogitEnsemble;
    for (const OrderResult& order : run.decision.orders) {
      TellTried(order.steps, ensemble, run.options);
    }
    if (!run.decision.done) TellTried(run.decision.steps, ensemble, run.options);
    TellEpochs(run);
    for (size_t i = 0; i < run.decision.required; ++i) ConsiderWanted(run, i);
    if (is_first) result_.required = result_.wanted.size();
    if (!run.decision.learn.has_value()) return;
    const LearnEpoch& epoch = *run.decision.learn;
    ++result_.tasks_total;
    // A failed one is the job's failure.
    if (state_.FindEpoch(run.spec->learn, epoch) != nullptr) return;
    const Task task = state_.LearnTaskFor(run.spec->learn, epoch);
    Want(task.key, [&] { return task; });
    if (is_first) result_.required = result_.wanted.size();
  }

  void ConsiderWanted(const PlanState::Run& run, size_t index) {
    Consider(0, run.decision.wanted[index], true,
             run.decision.bar.has_value() ? &*run.decision.bar : nullptr);
  }

  void LookAhead(const PlanState::Run& run) {
    for (size_t i = run.decision.required; i < run.decision.wanted.size(); ++i) {
      ConsiderWanted(run, i);
    }
  }

  void TellTried(const std::vector<RecipeStep>& steps, bool ensemble,
                 const RecipeOptions& options) {
    const auto blend_of = [&](const std::vector<int>& ingredients) {
      return ensemble && ingredients.size() > 1 ? Blend{ingredients, {}, true}
                                                : MakeSoup(options, ingredients);
    };
    const bool ties_win = options.recipe.acceptance == Acceptance::kNotWorse;
    std::vector<int> soup;
    for (const RecipeStep& step : steps) {
      if (step.passed_over) continue;
      std::optional<Bar> bar;
      if (step.not_better_than.has_value())
        bar = Bar{blend_of(soup), *step.not_better_than, ties_win};
      soup.push_back(step.candidate);
      Consider(0, blend_of(soup), false, bar.has_value() ? &*bar : nullptr);
      if (!step.accepted) soup.pop_back();
    }
  }

  void TellEpochs(const PlanState::Run& run) {
    const int count = run.spec->learn.epochs;
    result_.tasks_done += static_cast<int64_t>(run.decision.epochs.size());
    result_.tasks_total += static_cast<int64_t>(run.decision.epochs.size());
    for (size_t i = 0; i < run.decision.epochs.size(); ++i) {
      Tell(absl::StrCat("epoch/", run.kind, "/", i), "epoch_learned", [&] {
        return Json{{"epoch", i + 1},
                    {"epoch_count", count},
                    {"mean_loss", run.decision.epochs[i].mean_loss}};
      });
    }
  }

  void Analyse() {
    for (const AnalysisTask& task : state_.analysis_tasks()) {
      if (!counted_.insert(task.key).second) continue;
      ++result_.tasks_total;
      result_.examples_total += task.example_count;
      if (state_.FindFact(task.key) == nullptr) {
        Want(task.key, task.make);
        continue;
      }
      ++result_.tasks_done;
      result_.examples_done += task.example_count;
    }
  }

  void TellSteps() {
    const Decision& decision = state_.decision();
    // Of several orders nobody knows yet which will be taken.
    const bool several = spec_.recipe.repeats > 1;
    if (several && !decision.done) return;
    for (size_t i = 0; i < decision.steps.size(); ++i) {
      Tell(absl::StrCat("step/", i), "candidate_decided", [&] {
        const RecipeStep& step = decision.steps[i];
        return Json{{"step", StepJson(step, state_.NameOf(step.candidate), spec_.problem)},
                    {"position", i + 1},
                    {"candidate_count", decision.order.size()}};
      });
    }
  }

  // What the recipe has not asked for yet, counted for progress.
  void EstimateRest() {
    const Decision& decision = state_.decision();
    const size_t soup_size =
        decision.steps.empty() ? 0 : static_cast<size_t>(decision.steps.back().soup_size);
    if (decision.order.empty()) {
      result_.activity = "measuring the ingredients";
      return;
    }
    const size_t counted = decision.steps.size() + decision.wanted.size();
    // A recipe without steps tries nothing one by one.
    const size_t tried = state_.usable().size() - static_cast<size_t>(decision.untried);
    const size_t more = decision.steps.empty() ? 0 : tried - std::min(tried, counted);
    result_.tasks_total += static_cast<int64_t>(more) + 1;
    result_.examples_total += static_cast<int64_t>(more) * state_.data_set(0)->example_count;
    result_.activity = decision.learn.has_value()
                           ? absl::StrCat("learning: epoch ", decision.learn->epoch + 1, " of ",
                                          spec_.recipe.learn.epochs)
                           : "measuring the soup";
    if (decision.steps.empty() || decision.steps.size() == decision.order.size() ||
        decision.wanted.empty()) {
      return;
    }
    result_.activity = absl::StrCat("candidate ", decision.steps.size() + 1, " of ",
                                    decision.order.size(), ": soup of ", soup_size, " + ",
                                    state_.NameOf(decision.wanted.front().ingredients.back()));
  }

  void WriteSoup() {
    ++result_.tasks_total;
    const Blend soup = state_.SoupOf(state_.runs().front());
    // How its statistics were gathered is known with its measure.
    if (soup.reestimated && !state_.Find(0, soup).has_value()) return;
    const Fact* written = state_.written();
    if (written == nullptr) {
      Want(state_.WriteTask().key, [&] { return state_.WriteTask(); });
      return;
    }
    const absl::StatusOr<SoupFound> files = ReadSoupFound(*written);
    if (!files.ok()) return;  // the state's failure says so
    result_.write_soup = state_.WriteTask().body.at("write_soup");
    result_.write_soup.erase("folder");
    ++result_.tasks_done;
    for (const SoupFile& file : files->files) {
      result_.artifacts.push_back(
          {{"file", file.file}, {"size_bytes", file.size_bytes}, {"sha256", file.sha256}});
    }
    Tell(
        "soup", "soup_written",
        [&] {
          return Json{{"files", result_.artifacts}};
        },
        written->key);
  }

  const JobSpec& spec_;
  const PlanState& state_;
  const NextOptions& options_;
  absl::flat_hash_set<std::string> wanted_, counted_;
  PlanDecision result_;
};

}  // namespace

Plan::Plan(JobSpec spec, PlanOptions options)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      cache_(std::make_unique<PlanCache>(spec_, options_.scope)) {}

Plan::~Plan() = default;

std::string Plan::recipe_version() const {
  std::vector<RecipeSpec> recipes = {spec_.recipe};
  recipes.insert(recipes.end(), spec_.comparisons.begin(), spec_.comparisons.end());
  std::vector<std::string> versions;
  for (RecipeSpec& recipe : recipes) {
    RecipeOptions options;
    options.recipe = std::move(recipe);
    const std::string version = MakeRecipe(std::move(options))->version();
    if (std::find(versions.begin(), versions.end(), version) == versions.end()) {
      versions.push_back(version);
    }
  }
  return absl::StrJoin(versions, ", ");
}

PlanDecision Plan::Next(const Ledger& ledger, const NextOptions& options) const {
  const PlanState state(spec_, options_, options.speculation, ledger, cache_.get());
  return DecisionBuilder(spec_, state, options).Build();
}

}  // namespace stockpot
