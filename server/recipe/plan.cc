#include "server/recipe/plan.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

Milestone MakeMilestone(std::string key, const char* event, Json body, std::string fact = "") {
  return {std::move(key), Json{{event, std::move(body)}}, std::move(fact)};
}

}  // namespace

Plan::Plan(JobSpec spec, PlanOptions options)
    : spec_(std::move(spec)),
      options_(std::move(options)),
      keys_(std::make_unique<MeasureKeys>()) {}

Plan::~Plan() = default;

std::string Plan::recipe_version() const {
  return spec_.recipe == RecipeKind::kGreedy ? MakeGreedyRecipe({})->version()
                                             : MakeUniformRecipe({})->version();
}

namespace {

// Inspections, told in the spec's order: an ingredient is told once all before it are known, so
// that "identical to" does not depend on the order of arrival.
void TellInspections(const JobSpec& spec, const PlanState& state,
                     std::vector<Milestone>* milestones) {
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    const DataSetFound* found = state.data_set(static_cast<int>(i));
    if (found == nullptr) continue;
    milestones->push_back(MakeMilestone(absl::StrCat("data_set/", i), "data_set_inspected",
                                        {{"data_set",
                                          {{"name", spec.data_sets[i].name},
                                           {"digest", found->digest},
                                           {"example_count", found->example_count},
                                           {"class_count", found->class_count}}}}));
  }
  for (size_t i = 0; i < state.ingredients().size(); ++i) {
    const PlanState::Ingredient& ingredient = state.ingredients()[i];
    if (ingredient.fact == nullptr) break;
    const int same = ingredient.identical_to;
    milestones->push_back(
        MakeMilestone(absl::StrCat("inspected/", i), "ingredient_inspected",
                      {{"display_name", spec.ingredients[i].display_name},
                       {"digest", ingredient.found.digest},
                       {"notes", ingredient.found.notes},
                       {"identical_to", same < 0 ? "" : spec.ingredients[same].display_name},
                       {"problem", std::string(ingredient.fact->status.message())}}));
  }
}

void TellMeasure(const JobSpec& spec, const PlanState& state, int data_set, const Blend& blend,
                 std::vector<Milestone>* milestones) {
  const std::optional<Score> score = state.Find(data_set, blend);
  if (!score.has_value()) return;
  const std::string key = state.KeyOf(data_set, blend);
  milestones->push_back(MakeMilestone(absl::StrCat("measured/", key), "blend_measured",
                                      {{"ingredients", state.NamesOf(blend)},
                                       {"data_set", spec.data_sets[data_set].name},
                                       {"score", ScoreJson(*score)}},
                                      key));
}

void TellSteps(const PlanState& state, std::vector<Milestone>* milestones) {
  const Decision& decision = state.decision();
  for (size_t i = 0; i < decision.steps.size(); ++i) {
    const RecipeStep& step = decision.steps[i];
    milestones->push_back(MakeMilestone(absl::StrCat("step/", i), "candidate_decided",
                                        {{"step", StepJson(step, state.NameOf(step.candidate))},
                                         {"position", i + 1},
                                         {"candidate_count", decision.order.size()}}));
  }
}

}  // namespace

PlanDecision Plan::Next(const Ledger& ledger) const {
  const PlanState state(spec_, options_, ledger, keys_.get());
  PlanDecision result;
  TellInspections(spec_, state, &result.milestones);
  result.tasks_done = static_cast<int64_t>(state.inspections_done());
  result.tasks_total = static_cast<int64_t>(1 + spec_.data_sets.size() + spec_.ingredients.size());
  if (!state.inspected()) {
    result.wanted = state.missing_inspections();
    result.activity = "inspecting the ingredients and data sets";
    return result;
  }
  if (!state.failure().ok()) {
    result.finished = true;
    result.failure = state.failure();
    return result;
  }

  // Every measure that is known or wanted, once.
  std::set<std::pair<int, Blend>> seen;
  auto consider = [&](int data_set, const Blend& blend, bool want) {
    if (!seen.emplace(data_set, blend).second) return;
    const int64_t examples = state.data_set(data_set)->example_count;
    const bool known = state.Find(data_set, blend).has_value();
    if (!known && !want) return;
    ++result.tasks_total;
    result.examples_total += examples;
    if (known) {
      ++result.tasks_done;
      result.examples_done += examples;
      TellMeasure(spec_, state, data_set, blend, &result.milestones);
    } else {
      result.wanted.push_back(state.MeasureTaskFor(data_set, blend));
    }
  };
  const Decision& decision = state.decision();
  for (int ingredient : state.usable()) consider(0, Blend{{ingredient}, {}}, true);
  Blend soup;
  for (const RecipeStep& step : decision.steps) {
    Blend tried = soup;
    tried.ingredients.push_back(step.candidate);
    consider(0, tried, false);
    if (step.accepted) soup = std::move(tried);
  }
  for (const Blend& blend : decision.wanted) consider(0, blend, true);
  TellSteps(state, &result.milestones);

  if (!decision.done) {
    // The baselines do not wait for the recipe: a worker that has nothing else to do measures them.
    if (!decision.order.empty()) {
      for (const auto& [data_set, blend] : state.ReportMeasures()) consider(data_set, blend, true);
      const int64_t left = static_cast<int64_t>(decision.order.size() - decision.steps.size()) -
                           static_cast<int64_t>(decision.wanted.size());
      const int64_t more = std::max<int64_t>(0, left);
      result.tasks_total += more + 1;
      result.examples_total += more * state.data_set(0)->example_count;
      result.activity =
          absl::StrCat("candidate ", decision.steps.size() + 1, " of ", decision.order.size(),
                       ": soup of ", soup.ingredients.size(), " + ",
                       state.NameOf(decision.order[decision.steps.size() % decision.order.size()]));
    } else {
      result.activity = "measuring the ingredients";
    }
    return result;
  }

  for (const auto& [data_set, blend] : state.ReportMeasures()) consider(data_set, blend, true);
  ++result.tasks_total;
  const Fact* written = state.written();
  if (written == nullptr) {
    result.wanted.push_back(state.WriteTask());
  } else {
    ++result.tasks_done;
    absl::StatusOr<SoupFound> soup_found = ReadSoupFound(*written);
    if (!soup_found.ok()) {
      result.finished = true;
      result.failure = soup_found.status();
      return result;
    }
    for (const SoupFile& file : soup_found->files) {
      result.artifacts.push_back(
          {{"file", file.file}, {"size_bytes", file.size_bytes}, {"sha256", file.sha256}});
    }
    result.milestones.push_back(
        MakeMilestone("soup", "soup_written", {{"files", result.artifacts}}, written->key));
  }
  result.activity = "measuring the report sets and writing the soup";
  result.finished = result.wanted.empty();
  return result;
}

}  // namespace stockpot
