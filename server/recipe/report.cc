// The deterministic part of a job's report, from the ledger alone.
#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/statistics.h"
#include "server/recipe/analysis.h"
#include "server/recipe/gains.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

Json DataSets(const JobSpec& spec, const PlanState& state) {
  Json list = Json::array();
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    Json summary = {{"name", spec.data_sets[i].name}, {"role", RoleName(spec.data_sets[i].role)}};
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
    list.push_back(
        {{"data_set", spec.data_sets[i].name}, {"score", ScoreJson(*score, spec.problem)}});
  }
  return list;
}

Json Ingredients(const JobSpec& spec, const PlanState& state) {
  std::map<int, double> coefficients;
  if (state.recipe() != nullptr && state.decision().done) {
    const Blend& soup = state.decision().soup;
    const std::vector<double> means = MeanCoefficients(soup);
    for (size_t i = 0; i < means.size(); ++i) coefficients[soup.ingredients[i]] = means[i];
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
    if (!ingredient.found.pinned_uri.empty()) item["pinned_uri"] = ingredient.found.pinned_uri;
    item["format"] = ingredient.found.format;
    item["notes"] = ingredient.found.notes;
    if (!spec.ingredients[i].group.empty()) item["group"] = spec.ingredients[i].group;
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

// Mean of the deciding metric over the distribution shifts; nothing while one is not measured.
std::optional<double> MeanOfShifts(const PlanState& state, const Blend& blend) {
  const JobSpec& spec = state.spec();
  std::vector<double> values;
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    if (spec.data_sets[i].role != DataSetRole::kDistributionShift) continue;
    const std::optional<Score> score = state.Find(static_cast<int>(i), blend);
    if (!score.has_value()) return std::nullopt;
    values.push_back(MetricValue(spec.metric, *score));
  }
  return values.empty() ? std::nullopt : std::optional(Mean(values));
}

Json Blends(const JobSpec& spec, const PlanState& state) {
  Json list = Json::array();
  for (const PlanState::NamedBlend& named : state.NamedBlends()) {
    Json item = {
        {"kind", named.kind},
        {"ingredients", state.NamesOf(named.blend)},
        {"scores", Scores(spec, state, named.blend)},
        {"coefficients", MeanCoefficients(named.blend)},
        {"models_at_inference", named.blend.ensemble ? named.blend.ingredients.size() : size_t{1}}};
    if (const auto mean = MeanOfShifts(state, named.blend)) item["mean_of_shifts"] = *mean;
    list.push_back(std::move(item));
  }
  return list;
}

Json Steps(const PlanState& state, const std::vector<RecipeStep>& steps) {
  Json list = Json::array();
  for (const RecipeStep& step : steps) {
    list.push_back(StepJson(step, state.NameOf(step.candidate), state.spec().problem));
  }
  return list;
}

Json RandomOrders(const PlanState& state, const Decision& decision) {
  const JobSpec& spec = state.spec();
  Json results = Json::array();
  std::vector<double> values;
  for (const OrderResult& order : decision.orders) {
    values.push_back(MetricValue(spec.metric, order.score));
    results.push_back({{"order", state.NamesOf(Blend{order.order, {}})},
                       {"ingredients", state.NamesOf(order.soup)},
                       {"score", ScoreJson(order.score, spec.problem)}});
  }
  return {{"results", std::move(results)},
          {"mean", Mean(values)},
          {"standard_deviation", StandardDeviation(values)},
          {"minimum", *std::min_element(values.begin(), values.end())},
          {"maximum", *std::max_element(values.begin(), values.end())},
          {"taken", decision.taken}};
}

Json Learned(const PlanState& state, const PlanState::Run& run) {
  const std::vector<LearnedCoefficients>& epochs = run.decision.epochs;
  std::vector<double> losses;
  for (const LearnedCoefficients& epoch : epochs) losses.push_back(epoch.mean_loss);
  const Blend soup = state.SoupOf(run, /*mixed=*/false);
  Json learned = {{"temperature", epochs.back().temperature},
                  {"epoch_losses", losses},
                  {"coefficients", MeanCoefficients(soup)}};
  if (!run.spec->learn.per_tensor) return learned;
  learned["tensor_coefficients"] = epochs.back().coefficients;
  learned["tensors"] = state.AveragedTensors();
  return learned;
}

Json WiseFt(const PlanState& state, const PlanState::Run& run) {
  Json points = Json::array();
  for (const PlanState::CurvePoint& point : state.WiseFtCurve(run)) {
    Json item = {{"coefficient", point.coefficient},
                 {"scores", Scores(state.spec(), state, point.blend)}};
    if (const auto mean = MeanOfShifts(state, point.blend)) item["mean_of_shifts"] = *mean;
    points.push_back(std::move(item));
  }
  Json wise_ft = {{"points", std::move(points)}};
  if (run.spec->wise_ft->select) wise_ft["selected"] = run.decision.wise_ft;
  return wise_ft;
}

// What kinds of recipes have beside steps.
void AddDetails(const PlanState& state, const PlanState::Run& run, Json* report) {
  if (!run.decision.done) return;
  if (run.spec->order == CandidateOrder::kRandom && !run.decision.orders.empty()) {
    (*report)["random_orders"] = RandomOrders(state, run.decision);
  }
  if (!run.decision.epochs.empty()) (*report)["learned"] = Learned(state, run);
  if (run.spec->wise_ft.has_value()) (*report)["wise_ft"] = WiseFt(state, run);
}

Json Comparisons(const PlanState& state) {
  Json list = Json::array();
  for (size_t i = 1; i < state.runs().size(); ++i) {
    const PlanState::Run& run = state.runs()[i];
    Json item = {{"recipe", run.recipe->version()},
                 {"recipe_choices", run.recipe->choices()},
                 {"order", state.NamesOf(Blend{run.decision.order, {}})},
                 {"steps", Steps(state, run.decision.steps)},
                 {"kind", run.kind}};
    AddDetails(state, run, &item);
    list.push_back(std::move(item));
  }
  return list;
}

Json Oracles(const JobSpec& spec, const PlanState& state) {
  Json list = Json::array();
  for (size_t i = 1; i < spec.data_sets.size(); ++i) {
    std::optional<Score> best;
    int best_ingredient = 0;
    for (const int ingredient : state.usable()) {
      const auto score = state.Find(static_cast<int>(i), Blend{{ingredient}, {}});
      if (!score.has_value()) continue;
      if (best.has_value() && CompareScores(spec.metric, *score, *best) <= 0) continue;
      best = score;
      best_ingredient = ingredient;
    }
    if (!best.has_value()) continue;
    list.push_back({{"data_set", spec.data_sets[i].name},
                    {"ingredient", state.NameOf(best_ingredient)},
                    {"score", ScoreJson(*best, spec.problem)}});
  }
  return list;
}

Json BatchNorm(const JobSpec& spec, const PlanState& state) {
  if (!state.reestimates()) {
    return {{"note",
             "The model has no BatchNorm layer whose statistics can be gathered anew: "
             "nothing was done."}};
  }
  Json report = {{"scope", spec.batch_norm->final_soup_only ? "FINAL_SOUP" : "EVERY_CANDIDATE"}};
  if (!state.decision().done) return report;
  Blend soup = state.SoupOf(state.runs().front());
  if (!soup.reestimated) {
    report["note"] = "The soup is one model, with its own statistics: nothing was done.";
    return report;
  }
  report["reestimated"] = Scores(spec, state, soup);
  soup.reestimated = false;
  report["averaged"] = Scores(spec, state, soup);
  return report;
}

Json PrecisionEffect(const JobSpec& spec, const PlanState& state) {
  Json report = {{"precision", std::string(PrecisionName(spec.precision))}};
  if (!state.decision().done) return report;
  Blend soup = state.SoupOf(state.runs().front());
  report["scores"] = Scores(spec, state, soup);
  soup.in_float32 = true;
  report["float32_scores"] = Scores(spec, state, soup);
  return report;
}

Json Build(const JobSpec& spec, const PlanState& state) {
  Json report;
  report["metric"] = std::string(MetricName(spec.metric));
  report["data_sets"] = DataSets(spec, state);
  report["ingredients"] = Ingredients(spec, state);
  report["numerics"] = absl::StrCat(state.Numerics(), ", batch size ", spec.batch_size);
  report["architecture_digest"] = state.architecture().digest;
  if (state.base() != nullptr) report["base_digest"] = state.base()->digest;
  if (state.recipe() == nullptr) return report;
  const PlanState::Run& run = state.runs().front();
  report["recipe"] = run.recipe->version();
  report["recipe_choices"] = run.recipe->choices();
  report["order"] = state.NamesOf(Blend{run.decision.order, {}});
  report["steps"] = Steps(state, run.decision.steps);
  report["blends"] = Blends(spec, state);
  AddDetails(state, run, &report);
  if (!spec.comparisons.empty()) report["comparisons"] = Comparisons(state);
  if (spec.report_every_ingredient) report["oracles"] = Oracles(spec, state);
  if (spec.batch_norm.has_value()) report["batch_norm"] = BatchNorm(spec, state);
  if (spec.precision != Precision::kFloat32) report["precision"] = PrecisionEffect(spec, state);
  AddAnalysis(state, &report);
  if (!run.decision.done) return report;
  report["chosen"] = state.ChosenKind();
  report["explanation"] = Explanation(state);
  report["stopped_because"] = state.StoppedBecause();
  AddGains(state, &report);
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

std::vector<std::string> Plan::ExamplesForReport(const Ledger& ledger) const {
  return KeysOfGains(PlanState(spec_, options_, /*speculation=*/1, ledger, cache_.get()));
}

}  // namespace stockpot
