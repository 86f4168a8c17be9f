// The blends of one job's report, and the soup that is written.
#include <map>

#include "absl/container/flat_hash_set.h"
#include "absl/strings/str_cat.h"
#include "server/recipe/analysis.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

std::string KindName(const RecipeSpec& recipe) {
  std::string name;
  switch (recipe.kind) {
    case RecipeKind::kGreedy:
      name = "greedy";
      break;
    case RecipeKind::kUniform:
      name = "uniform";
      break;
    case RecipeKind::kBestSingle:
      name = "best_single";
      break;
    case RecipeKind::kLearned:
      name = recipe.learn.per_tensor ? "learned_per_tensor" : "learned";
      break;
    case RecipeKind::kLogitEnsemble:
      name = "logit_ensemble";
      break;
    case RecipeKind::kGreedyLogitEnsemble:
      name = "greedy_logit_ensemble";
      break;
  }
  if (recipe.wise_ft.has_value() && recipe.wise_ft->select) absl::StrAppend(&name, "+wise_ft");
  return name;
}

bool IsBaseline(const std::string& kind) { return kind == "best_single" || kind == "uniform"; }

}  // namespace

// The baselines' names are theirs, also of recipes that make just them; with a budget a comparison
// may know more than the job's own recipe does.
void PlanState::NameRuns() {
  const bool budget =
      spec_.max_evaluations > 0 || spec_.max_worker_time != absl::InfiniteDuration();
  std::map<std::string, int> counts = {{"best_single", 1}, {"uniform", 1}};
  for (Run& run : runs_) {
    run.kind = KindName(*run.spec);
    if (IsBaseline(run.kind) && (&run == &runs_[0] || !budget)) continue;
    const int count = ++counts[run.kind];
    if (count > 1) absl::StrAppend(&run.kind, "_", count);
  }
}

Blend PlanState::SoupOf(const Run& run, bool mixed) const {
  Blend soup = mixed ? run.decision.soup : run.decision.before_wise_ft.value_or(run.decision.soup);
  if (reestimates() && !soup.ensemble && soup.ingredients.size() > 1) soup.reestimated = true;
  return soup;
}

std::string PlanState::Numerics() const {
  std::string numerics = architecture_.numerics;
  if (spec_.precision != Precision::kFloat32) {
    absl::StrAppend(&numerics, ", measured in ", PrecisionName(spec_.precision));
  }
  if (spec_.channels_last) absl::StrAppend(&numerics, ", channels last");
  return numerics;
}

std::optional<Blend> PlanState::UniformSoup() const {
  const RecipeOptions& options = runs_[0].options;
  if (!options.groups.empty() && decision().order.empty()) return std::nullopt;
  std::vector<int> all = AllIngredients(options, decision().order);
  const bool several = all.size() > 1;
  return Blend{std::move(all), {}, /*ensemble=*/false, reestimates() && several};
}

std::vector<PlanState::NamedBlend> PlanState::NamedBlends() const {
  std::vector<NamedBlend> blends;
  if (!decision().order.empty()) {
    blends.push_back({"best_single", Blend{{decision().order.front()}, {}}});
  }
  if (std::optional<Blend> uniform = UniformSoup()) {
    blends.push_back({"uniform", *std::move(uniform)});
  }
  for (const Run& run : runs_) {
    if (run.decision.done && !IsBaseline(run.kind)) blends.push_back({run.kind, SoupOf(run)});
  }
  return blends;
}

std::string PlanState::ChosenKind() const {
  const Blend soup = SoupOf(runs_[0]);
  return soup == Blend{{decision().order.front()}, {}} ? "best_single" : runs_[0].kind;
}

std::vector<PlanState::CurvePoint> PlanState::WiseFtCurve(const Run& run) const {
  std::vector<CurvePoint> curve;
  if (!run.decision.done || !run.spec->wise_ft.has_value()) return curve;
  const Blend soup = SoupOf(run, /*mixed=*/false);
  for (const double coefficient : run.spec->wise_ft->coefficients) {
    Blend blend = Interpolate(soup, coefficient);
    blend.reestimated = reestimates() && blend.ingredients.size() > 1;
    curve.push_back({coefficient, std::move(blend)});
  }
  return curve;
}

std::vector<std::pair<int, Blend>> PlanState::FindReportMeasures() {
  std::vector<std::pair<int, Blend>> measures;
  absl::flat_hash_set<std::string> seen;
  const auto add = [&](int data_set, const Blend& blend) {
    const std::string& key = Look(data_set, blend).key;
    if (!key.empty() && seen.insert(key).second) measures.emplace_back(data_set, blend);
  };
  const std::vector<NamedBlend> named = NamedBlends();
  for (int data_set = 0; data_set < static_cast<int>(spec_.data_sets.size()); ++data_set) {
    for (const NamedBlend& entry : named) {
      if (entry.blend.ensemble) {
        for (const int member : entry.blend.ingredients) add(data_set, Blend{{member}, {}});
      }
      add(data_set, entry.blend);
    }
    for (const Run& run : runs_) {
      for (const CurvePoint& point : WiseFtCurve(run)) add(data_set, point.blend);
    }
    if (decision().done && reestimates()) {
      Blend averaged = SoupOf(runs_[0]);
      averaged.reestimated = false;
      add(data_set, averaged);
    }
    if (decision().done && spec_.precision != Precision::kFloat32) {
      Blend soup = SoupOf(runs_[0]);
      soup.in_float32 = true;
      add(data_set, soup);
    }
    if (!spec_.report_every_ingredient) continue;
    for (int ingredient : usable_) add(data_set, Blend{{ingredient}, {}});
  }
  first_of_analyses_ = measures.size();
  for (const auto& [data_set, blend] : AnalysisMeasures(*this)) add(data_set, blend);
  return measures;
}

std::vector<double> MeanCoefficients(const Blend& blend) {
  const size_t count = blend.ingredients.size();
  if (blend.coefficients.empty()) {
    return std::vector<double>(count, 1.0 / static_cast<double>(count));
  }
  const size_t tensors = blend.coefficients.size() / count;
  std::vector<double> means(count);
  for (size_t i = 0; i < blend.coefficients.size(); ++i) {
    means[i / tensors] += blend.coefficients[i] / static_cast<double>(tensors);
  }
  return means;
}

Task PlanState::MakeWriteTask() const {
  const Blend soup = SoupOf(runs_[0]);
  WriteSoupInputs write;
  write.scope = options_.scope;
  write.weights = WeightsOf(soup);
  const std::vector<double> coefficients = MeanCoefficients(soup);
  Json ingredients = Json::array();
  for (size_t i = 0; i < soup.ingredients.size(); ++i) {
    ingredients.push_back({{"name", NameOf(soup.ingredients[i])},
                           {"uri", write.weights.ingredients[i].uri},
                           {"sha256", write.weights.ingredients[i].digest},
                           {"coefficient", coefficients[i]}});
  }
  write.folder = options_.artifact_folder;
  // "format": "pt" is what Python readers of safetensors look for.
  write.metadata = {{"format", "pt"},
                    {"stockpot.software", options_.software},
                    {"stockpot.job", options_.job},
                    {"stockpot.recipe", recipe()->version()},
                    {"stockpot.ingredients", DumpJson(ingredients)},
                    {"stockpot.architecture", architecture_.digest},
                    {"stockpot.numerics", Numerics()},
                    {"stockpot.data_sets", DumpJson(ScoresForMetadata())}};
  if (base() != nullptr) write.metadata["stockpot.base"] = base()->digest;
  write.format = spec_.output_format;
  write.max_shard_bytes = spec_.max_shard_bytes;
  if (soup.reestimated) {  // with the batches that the soup was measured with
    const std::optional<Score> score = Find(0, soup);
    write.reestimate = InputsFor(0, soup, score.has_value() ? score->batch_size : spec_.batch_size);
  }
  return WriteSoupTask(write);
}

// The held-out set alone: the report sets may still be measured while the soup is written. Of the
// soup as the recipe knew it, which is measured by then.
Json PlanState::ScoresForMetadata() const {
  const std::optional<Score> score = Find(0, decision().soup);
  return {{{"name", spec_.data_sets[0].name},
           {"sha256", data_sets_[0]->digest},
           {"score", score.has_value() ? ScoreJson(*score, spec_.problem) : Json()}}};
}

const Fact* PlanState::written() const { return ledger_.Find(write_task_.key); }

}  // namespace stockpot
