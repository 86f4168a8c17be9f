// The deterministic part of a job's report, from the ledger alone.
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

std::string MetricText(Metric metric, const Score& score) {
  const double count = static_cast<double>(score.example_count);
  switch (metric) {
    case Metric::kTop1:
      return absl::StrFormat("%.2f %% top-1",
                             100.0 * static_cast<double>(score.top1_correct) / count);
    case Metric::kTop5:
      return absl::StrFormat("%.2f %% top-5",
                             100.0 * static_cast<double>(score.top5_correct) / count);
    case Metric::kCrossEntropy:
      return absl::StrFormat("cross-entropy %.6f", score.cross_entropy_sum / count);
  }
  return "";
}

Json DataSets(const JobSpec& spec, const PlanState& state) {
  Json list = Json::array();
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    Json summary = {{"name", spec.data_sets[i].name}};
    if (const DataSetFound* found = state.data_set(static_cast<int>(i))) {
      summary["digest"] = found->digest;
      summary["example_count"] = found->example_count;
      summary["class_count"] = found->class_count;
    }
    list.push_back(std::move(summary));
  }
  return list;
}

Json Scores(const JobSpec& spec, const PlanState& state, const Blend& blend) {
  Json list = Json::array();
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    const std::optional<Score> score = state.Find(static_cast<int>(i), blend);
    if (!score.has_value()) continue;
    list.push_back({{"data_set", spec.data_sets[i].name}, {"score", ScoreJson(*score)}});
  }
  return list;
}

Json Ingredients(const JobSpec& spec, const PlanState& state) {
  std::map<int, double> coefficients;
  if (state.recipe() != nullptr && state.decision().done) {
    const Blend& soup = state.decision().soup;
    for (int ingredient : soup.ingredients) {
      coefficients[ingredient] = 1.0 / static_cast<double>(soup.ingredients.size());
    }
  }
  std::set<int> ranked;
  if (state.recipe() != nullptr) {
    ranked.insert(state.decision().considered.begin(), state.decision().considered.end());
  }
  Json list = Json::array();
  for (size_t i = 0; i < spec.ingredients.size(); ++i) {
    const int index = static_cast<int>(i);
    Json item = {{"display_name", spec.ingredients[i].display_name},
                 {"uri", spec.ingredients[i].uri}};
    if (i >= state.ingredients_told()) {  // a partial report
      list.push_back(std::move(item));
      continue;
    }
    const InspectedIngredient& ingredient = state.ingredient(i);
    item["digest"] = ingredient.found.digest;
    item["format"] = ingredient.found.format;
    item["notes"] = ingredient.found.notes;
    if (ingredient.identical_to >= 0) item["identical_to"] = state.NameOf(ingredient.identical_to);
    if (!state.problem(i).ok()) {
      item["skipped_because"] = std::string(state.problem(i).message());
    } else if (state.recipe() != nullptr) {
      // Only what the job asked to know of single ingredients: the rest may be there by chance.
      item["scores"] = Json::array();
      for (const Json& score : Scores(spec, state, Blend{{index}, {}})) {
        if (spec.report_every_ingredient ||
            (score["data_set"] == spec.data_sets[0].name && ranked.count(index) > 0)) {
          item["scores"].push_back(score);
        }
      }
    }
    auto coefficient = coefficients.find(index);
    item["in_soup"] = coefficient != coefficients.end();
    item["coefficient"] = coefficient != coefficients.end() ? coefficient->second : 0.0;
    list.push_back(std::move(item));
  }
  return list;
}

Json Blends(const JobSpec& spec, const PlanState& state) {
  Json list = Json::array();
  for (const PlanState::NamedBlend& named : state.NamedBlends()) {
    list.push_back({{"kind", named.kind},
                    {"ingredients", state.NamesOf(named.blend)},
                    {"scores", Scores(spec, state, named.blend)}});
  }
  return list;
}

std::string Explanation(const JobSpec& spec, const PlanState& state) {
  const Decision& decision = state.decision();
  const std::string best_name = state.NameOf(decision.order.front());
  const std::optional<Score> best = state.Find(0, Blend{{decision.order.front()}, {}});
  const std::optional<Score> soup = state.Find(0, decision.soup);
  if (!best.has_value() || !soup.has_value()) return "";
  const std::string best_text = MetricText(spec.metric, *best);
  if (decision.soup.ingredients.size() == 1) {
    return absl::StrCat("No gain: no candidate improved on the best single model, ", best_name,
                        " (", best_text, " on ", spec.data_sets[0].name, "), so it stays.");
  }
  const int comparison = CompareScores(spec.metric, *soup, *best);
  return absl::StrCat(spec.recipe == RecipeKind::kGreedy ? "Greedy" : "Uniform", " soup of ",
                      decision.soup.ingredients.size(), " of ", state.usable().size(),
                      " ingredients: ", MetricText(spec.metric, *soup), " on ",
                      spec.data_sets[0].name,
                      comparison > 0    ? ", better than"
                      : comparison == 0 ? ", equal to"
                                        : ", worse than",
                      " the best single model, ", best_name, " (", best_text, ").");
}

Json Build(const JobSpec& spec, const PlanState& state) {
  Json report;
  report["metric"] = std::string(MetricName(spec.metric));
  report["data_sets"] = DataSets(spec, state);
  report["ingredients"] = Ingredients(spec, state);
  report["numerics"] =
      absl::StrCat(state.architecture().numerics, ", batch size ", spec.batch_size);
  report["architecture_digest"] = state.architecture().digest;
  if (state.recipe() == nullptr) return report;
  report["recipe"] = state.recipe()->version();
  report["recipe_choices"] = state.recipe()->choices();
  report["order"] = state.NamesOf(Blend{state.decision().order, {}});
  Json steps = Json::array();
  for (const RecipeStep& step : state.decision().steps) {
    steps.push_back(StepJson(step, state.NameOf(step.candidate)));
  }
  report["steps"] = std::move(steps);
  report["blends"] = Blends(spec, state);
  if (!state.decision().done) return report;
  report["chosen"] = state.ChosenKind();
  report["explanation"] = Explanation(spec, state);
  report["stopped_because"] = state.StoppedBecause();
  const Fact* written = state.written();
  if (written == nullptr) return report;
  absl::StatusOr<SoupFound> soup = ReadSoupFound(*written);
  if (soup.ok()) report["soup_digest"] = soup->content_digest;
  return report;
}

}  // namespace

Json Plan::ReportResult(const Ledger& ledger) const {
  return Build(spec_, PlanState(spec_, options_, /*speculation=*/1, ledger, cache_.get()));
}

}  // namespace stockpot
