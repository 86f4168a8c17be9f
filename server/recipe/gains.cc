#include "server/recipe/gains.h"

#include <algorithm>
#include <numeric>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "server/recipe/paired_gain.h"

namespace stockpot {
namespace {

std::string MetricText(Metric metric, const Score& score) {
  const double value = MetricValue(metric, score);
  switch (metric) {
    case Metric::kTop1:
      return absl::StrFormat("%.2f %% top-1", 100 * value);
    case Metric::kTop5:
      return absl::StrFormat("%.2f %% top-5", 100 * value);
    case Metric::kCrossEntropy:
      return absl::StrFormat("cross-entropy %.6f", value);
    case Metric::kMeanPerClass:
      return absl::StrFormat("%.2f %% mean per class", 100 * value);
    case Metric::kF1Binary:
    case Metric::kF1Macro:
      return absl::StrFormat("F1 %.4f", value);
    case Metric::kMatthews:
      return absl::StrFormat("Matthews correlation %.4f", value);
    case Metric::kMeanOfAccuracyAndF1:
      return absl::StrFormat("mean of accuracy and F1 %.4f", value);
    case Metric::kPearson:
      return absl::StrFormat("Pearson correlation %.4f", value);
    case Metric::kSpearman:
      return absl::StrFormat("Spearman correlation %.4f", value);
    case Metric::kMeanOfPearsonAndSpearman:
      return absl::StrFormat("mean of Pearson and Spearman %.4f", value);
    case Metric::kMeanSquaredError:
      return absl::StrFormat("mean squared error %.6f", value);
    case Metric::kPerplexity:
      return absl::StrFormat("perplexity %.4f", value);
  }
  return "";
}

std::string TitleOf(RecipeKind kind) {
  switch (kind) {
    case RecipeKind::kUniform:
      return "Uniform";
    case RecipeKind::kLearned:
      return "Learned";
    default:
      return "Greedy";
  }
}

// The set that the headline is about: the final one, or the held-out set where there is none.
int HeadlineSet(const JobSpec& spec) {
  for (size_t i = 1; i < spec.data_sets.size(); ++i) {
    if (spec.data_sets[i].role == DataSetRole::kFinal) return static_cast<int>(i);
  }
  return 0;
}

// The final set alone where there is one, else every report set; the held-out set first.
std::vector<int> SetsOfGains(const JobSpec& spec) {
  if (const int set = HeadlineSet(spec); set != 0) return {0, set};
  std::vector<int> sets(spec.data_sets.size());
  std::iota(sets.begin(), sets.end(), 0);
  return sets;
}

struct Contest {
  Blend chosen, best;
};

Contest ContestOf(const PlanState& state) {
  return {state.SoupOf(state.runs().front()), Blend{{state.decision().order.front()}, {}}};
}

Json GainOn(const PlanState& state, const Contest& contest, int data_set,
            const PairedCounts* counts) {
  const JobSpec& spec = state.spec();
  const Score chosen = *state.Find(data_set, contest.chosen);
  const Score best = *state.Find(data_set, contest.best);
  const double sign = LowerIsBetter(spec.metric) ? -1 : 1;
  const DataSetSpec& set = spec.data_sets[size_t(data_set)];
  Json gain = {
      {"data_set", set.name},
      {"role", RoleName(set.role)},
      {"of", state.ChosenKind()},
      {"over", "best_single"},
      {"difference", sign * (MetricValue(spec.metric, chosen) - MetricValue(spec.metric, best))}};
  if (counts == nullptr) return gain;
  const auto [lower, upper] = BootstrapInterval(*counts, spec.confidence);
  gain["only_of_correct"] = counts->only_first;
  gain["only_over_correct"] = counts->only_second;
  gain["mcnemar_p_value"] = McNemarExact(*counts);
  gain["top1_difference"] = static_cast<double>(counts->only_first - counts->only_second) /
                            static_cast<double>(counts->examples);
  gain["lower"] = lower;
  gain["upper"] = upper;
  gain["level"] = spec.confidence.level;
  return gain;
}

std::string IntervalText(const Json& gain) {
  if (!gain.contains("mcnemar_p_value")) return "";
  return absl::StrFormat("; top-1 %+.2f points, %g %% interval %+.2f to %+.2f, McNemar's p = %.2g",
                         100 * gain["top1_difference"].get<double>(),
                         100 * gain["level"].get<double>(), 100 * gain["lower"].get<double>(),
                         100 * gain["upper"].get<double>(), gain["mcnemar_p_value"].get<double>());
}

std::string Headline(const PlanState& state, const Contest& contest, const Json& gains) {
  const JobSpec& spec = state.spec();
  const int set = HeadlineSet(spec);
  const std::optional<Score> chosen = state.Find(set, contest.chosen);
  const std::optional<Score> best = state.Find(set, contest.best);
  if (!chosen.has_value() || !best.has_value()) return "";
  const std::string& name = spec.data_sets[size_t(set)].name;
  const char* const note = set == 0 ? " (the set it was chosen on: flattered by the choice)" : "";
  if (contest.chosen == contest.best) {
    return absl::StrCat("The best single model: ", MetricText(spec.metric, *best), " on ", name,
                        note, ".");
  }
  std::string interval;
  for (const Json& gain : gains) {
    if (gain["data_set"] == name) interval = IntervalText(gain);
  }
  return absl::StrCat(state.ChosenKind(), ": ", MetricText(spec.metric, *chosen), " on ", name,
                      note, ", the best single model ", MetricText(spec.metric, *best), interval,
                      ".");
}

}  // namespace

std::string Explanation(const PlanState& state) {
  const JobSpec& spec = state.spec();
  const PlanState::Run& run = state.runs().front();
  const Contest contest = ContestOf(state);
  const std::string best_name = state.NameOf(contest.best.ingredients[0]);
  const std::optional<Score> best = state.Find(0, contest.best);
  const std::optional<Score> soup = state.Find(0, contest.chosen);
  if (!best.has_value() || !soup.has_value()) return "";
  const std::string best_text = MetricText(spec.metric, *best);
  const std::string& held_out = spec.data_sets[0].name;
  if (contest.chosen == contest.best) {
    if (spec.recipe.kind == RecipeKind::kBestSingle) {
      return absl::StrCat("The best single model: ", best_name, " (", best_text, " on ", held_out,
                          ").");
    }
    return absl::StrCat("No gain: no candidate improved on the best single model, ", best_name,
                        " (", best_text, " on ", held_out, "), so it stays.");
  }
  const int comparison = CompareScores(spec.metric, *soup, *best);
  const Blend unmixed = state.SoupOf(run, /*mixed=*/false);
  std::string what =
      absl::StrCat(TitleOf(spec.recipe.kind), " soup of ", unmixed.ingredients.size(), " of ",
                   state.usable().size(), " ingredients");
  if (unmixed.ingredients.size() == 1) what = state.NameOf(unmixed.ingredients[0]);
  if (run.decision.before_wise_ft.has_value() && run.decision.wise_ft != 1) {
    absl::StrAppend(&what, ", ", run.decision.wise_ft, " of it with ", 1 - run.decision.wise_ft,
                    " of the base");
  }
  return absl::StrCat(what, ": ", MetricText(spec.metric, *soup), " on ", held_out,
                      comparison > 0    ? ", better than"
                      : comparison == 0 ? ", equal to"
                                        : ", worse than",
                      " the best single model, ", best_name, " (", best_text, ").");
}

std::vector<std::string> KeysOfGains(const PlanState& state) {
  std::vector<std::string> keys;
  if (state.runs().empty() || !state.decision().done) return keys;
  if (state.spec().problem == Problem::kRegression) return keys;
  const Contest contest = ContestOf(state);
  if (contest.chosen == contest.best) return keys;
  for (const int data_set : SetsOfGains(state.spec())) {
    for (const Blend* blend : {&contest.chosen, &contest.best}) {
      const PlanState::Measure measure = state.Look(data_set, *blend);
      if (measure.score.has_value()) keys.push_back(measure.key);
    }
  }
  return keys;
}

void AddGains(const PlanState& state, Json* report) {
  const Contest contest = ContestOf(state);
  Json gains = Json::array();
  const bool regression = state.spec().problem == Problem::kRegression;
  for (const int data_set : SetsOfGains(state.spec())) {
    if (contest.chosen == contest.best) break;
    const PlanState::Measure chosen = state.Look(data_set, contest.chosen);
    const PlanState::Measure best = state.Look(data_set, contest.best);
    if (!chosen.score.has_value() || !best.score.has_value()) continue;
    // Tests and intervals count examples alike.
    if (regression || chosen.score->weight_sum > 0) {
      gains.push_back(GainOn(state, contest, data_set, nullptr));
      continue;
    }
    const std::string* const first = state.FindExamples(chosen.key);
    const std::string* const second = state.FindExamples(best.key);
    if (first == nullptr || second == nullptr) continue;
    const auto counts = CompareExamples(*first, *second, chosen.score->example_count);
    if (counts.ok()) gains.push_back(GainOn(state, contest, data_set, &*counts));
  }
  (*report)["headline"] = Headline(state, contest, gains);
  if (!gains.empty()) (*report)["gains"] = std::move(gains);
}

}  // namespace stockpot
