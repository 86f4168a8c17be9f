// Measures and epochs of one job: keys, tasks, results.
#include <algorithm>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/recipe/plan_state.h"

namespace stockpot {
namespace {

// Half the examples take half the room, and may spare a model what made it fail.
bool IsWorthHalving(const absl::Status& status) {
  const std::string reason = GetErrorFacts(status).reason;
  return reason == "OUT_OF_MEMORY" || reason == "MODEL_FAILED";
}

// What was inspected, under the name that stays its own: a branch may move while the job runs.
std::string PinnedOr(const std::string& pinned_uri, const std::string& uri) {
  return pinned_uri.empty() ? uri : pinned_uri;
}

}  // namespace

CheckpointReference PlanState::ReferenceOf(int ingredient) const {
  const auto index = static_cast<size_t>(ingredient);
  const bool is_base = ingredient == kBase;
  const CheckpointFound& found = is_base ? *base_ : cache_->ingredients()[index].found;
  const std::string& uri = is_base ? spec_.base_uri : spec_.ingredients[index].uri;
  return {PinnedOr(found.pinned_uri, uri), found.digest};
}

TensorSelectionReference PlanState::Selection() const {
  TensorSelectionReference selection{spec_.excluded_tensors, spec_.tensors_from_base, {}};
  if (!selection.from_base.empty()) selection.base = ReferenceOf(kBase);
  selection.reading.state_dict_key = spec_.state_dict_key;
  selection.reading.renames = spec_.tensor_renames;
  if (cache_->has_adapters()) selection.reading.adapter_base = ReferenceOf(kBase);
  return selection;
}

WeightsInputs PlanState::WeightsOf(const Blend& blend) const {
  WeightsInputs weights;
  for (int ingredient : blend.ingredients) weights.ingredients.push_back(ReferenceOf(ingredient));
  weights.coefficients = blend.coefficients;
  weights.dtype = spec_.dtype;
  weights.selection = Selection();
  return weights;
}

// Keys and tasks have the numbers, wherever they come from.
std::vector<InputBindingSpec> PlanState::ResolvedBindings() const {
  std::vector<InputBindingSpec> bindings = spec_.inputs;
  for (InputBindingSpec& binding : bindings) {
    if (!binding.normalize_as_held_out) continue;
    binding.scale_to_unit = data_sets_[0]->scale_to_unit;
    binding.mean = data_sets_[0]->mean;
    binding.standard_deviation = data_sets_[0]->standard_deviation;
  }
  return bindings;
}

MeasureInputs PlanState::ContextOf(int data_set) const {
  const auto index = static_cast<size_t>(data_set);
  MeasureInputs inputs;
  inputs.architecture_uri = PinnedOr(architecture_.pinned_uri, spec_.architecture_uri);
  inputs.architecture_digest = architecture_.digest;
  inputs.bindings = ResolvedBindings();
  inputs.problem = spec_.problem;
  inputs.data_set = spec_.data_sets[index];
  inputs.data_set.uri = PinnedOr(data_sets_[index]->pinned_uri, inputs.data_set.uri);
  inputs.data_set_digest = data_sets_[index]->digest;
  inputs.example_count = data_sets_[index]->example_count;
  if (const ClassifierFound* const classifier = classifiers_[index]; classifier != nullptr) {
    std::string& uri = inputs.data_set.classifier->uri;
    uri = PinnedOr(classifier->pinned_uri, uri);
    inputs.classifier_digest = classifier->digest;
  }
  inputs.batch_size = spec_.batch_size;
  inputs.precision = spec_.precision;
  inputs.channels_last = spec_.channels_last;
  inputs.numerics = architecture_.numerics;
  if (spec_.measure_again) inputs.scope = options_.scope;
  return inputs;
}

bool PlanState::reestimates() const {
  return spec_.batch_norm.has_value() && !architecture_.batch_norms.empty();
}

bool PlanState::KeepsLogits(const Blend& blend) const {
  return keeps_logits_ && blend.ingredients.size() == 1 && blend.ingredients[0] != kBase;
}

MeasureInputs PlanState::InputsFor(int data_set, const Blend& blend, int batch_size) const {
  MeasureInputs inputs = ContextOf(data_set);
  inputs.weights = WeightsOf(blend);
  inputs.batch_size = batch_size;
  if (blend.in_float32) {
    inputs.precision = Precision::kFloat32;
    inputs.channels_last = false;
  }
  inputs.keep_logits = KeepsLogits(blend);
  if (blend.reestimated) {
    inputs.batch_norm = spec_.batch_norm->data_set;
    inputs.batch_norm->uri = PinnedOr(batch_norm_set_->pinned_uri, inputs.batch_norm->uri);
    inputs.batch_norm_digest = batch_norm_set_->digest;
  }
  return inputs;
}

bool PlanState::MembersAreKnown(int data_set, const Blend& ensemble) const {
  return std::all_of(ensemble.ingredients.begin(), ensemble.ingredients.end(), [&](int member) {
    return Find(data_set, Blend{{member}, {}}).has_value();
  });
}

std::vector<KeptLogitsReference> PlanState::KeptLogitsOf(int data_set, const Blend& blend) const {
  std::vector<KeptLogitsReference> kept;
  if (blend.ensemble) {
    for (const int member : blend.ingredients) {
      kept.push_back(KeptLogitsOf(data_set, Blend{{member}, {}}).front());
    }
    return kept;
  }
  MeasureInputs inputs = InputsFor(data_set, blend, Find(data_set, blend)->batch_size);
  inputs.keep_logits = true;
  return {{MeasureKey(inputs), inputs.weights, inputs.batch_size}};
}

EnsembleInputs PlanState::EnsembleFor(int data_set, const Blend& ensemble) const {
  return {ContextOf(data_set), KeptLogitsOf(data_set, ensemble), /*temperature=*/1,
          /*fit_temperature=*/false, ensemble.coefficients};
}

const PlanCache::Measure& PlanState::Cached(int data_set, const Blend& blend, bool half,
                                            bool* known) const {
  PlanCache::Measure& measure = cache_->FindMeasure(data_set, blend, half, [&] {
    if (blend.ensemble) return EnsembleKey(EnsembleFor(data_set, blend));
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
  // An ensemble runs no model, as a rule: it has its members' batches.
  if (!cached.known || spec_.batch_size < 2 || blend.ensemble ||
      !IsWorthHalving(cached.measure->score->status())) {
    return cached;
  }
  cached.halved_because = cached.measure->score->status();
  cached.measure = &Cached(data_set, blend, /*half=*/true, &cached.known);
  return cached;
}

PlanState::Measure PlanState::Look(int data_set, const Blend& blend) const {
  if (blend.ensemble && !MembersAreKnown(data_set, blend)) return {no_key_, false, {}, {}};
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

bool PlanState::KeepsMargins() const {
  const auto stops = [](const RecipeSpec& recipe) { return recipe.kind == RecipeKind::kGreedy; };
  return !spec_.full_scores && !spec_.disable_early_stopping &&
         (stops(spec_.recipe) ||
          std::any_of(spec_.comparisons.begin(), spec_.comparisons.end(), stops));
}

BarInputs PlanState::BarFor(const Bar& bar) const {
  return {spec_.metric, DecidingNumber(spec_.metric, bar.score), bar.ties_win, {}};
}

// The soup so far first: where there are very many, it and the first ones do.
std::vector<std::string> PlanState::VisitingOrderKeys(const Bar& bar) const {
  constexpr size_t kMostKeys = 100;
  std::vector<std::string> keys = {Look(0, bar.soup).key};
  for (const int ingredient : usable_) {
    if (keys.size() == kMostKeys) break;
    const Measure measure = Look(0, Blend{{ingredient}, {}});
    if (measure.score.has_value() && measure.key != keys.front()) keys.push_back(measure.key);
  }
  return keys;
}

const Fact* PlanState::FindNotBetter(const Blend& blend, const Bar& bar) const {
  const std::string key = Look(0, blend).key;
  const BarInputs inputs = BarFor(bar);
  return ledger_.Find(
      cache_->Key(absl::StrCat(key, absl::StrFormat("/%.17g/%d", inputs.number, inputs.ties_win)),
                  [&] { return NotBetterKey(key, inputs); }));
}

std::optional<Trial> PlanState::FindTrial(const Blend& blend, const Bar& bar) const {
  const Measure measure = Look(0, blend);
  if (measure.score.has_value()) return Trial{measure.score};
  if (measure.known || FindNotBetter(blend, bar) == nullptr) return std::nullopt;
  return Trial{};
}

Task PlanState::MeasureTaskFor(int data_set, const Blend& blend, const Bar* bar) const {
  const std::string& set = spec_.data_sets[size_t(data_set)].name;
  if (blend.ensemble) return EnsembleTask(EnsembleFor(data_set, blend));
  const PlanCache::Measure& cached = *Cached(data_set, blend).measure;
  MeasureInputs inputs = InputsFor(data_set, blend, cached.batch_size);
  inputs.keep_margins = data_set == 0 && KeepsMargins();
  if (bar != nullptr && !spec_.disable_early_stopping) {
    inputs.bar = BarFor(*bar);
    inputs.bar->visiting_order_keys = VisitingOrderKeys(*bar);
  }
  Task task = MeasureTask(inputs, cached.key);
  const std::string names = blend.ingredients.size() == 1
                                ? NameOf(blend.ingredients[0])
                                : absl::StrCat("soup of ", blend.ingredients.size(), " with ",
                                               NameOf(blend.ingredients.back()));
  task.description = absl::StrCat(names, " on ", set);
  return task;
}

LearnInputs PlanState::LearnInputsFor(const LearnSpec& learn, const LearnEpoch& epoch) const {
  LearnInputs inputs;
  inputs.measure = ContextOf(0);
  inputs.measure.weights = WeightsOf(Blend{epoch.ingredients, {}});
  inputs.measure.batch_size = learn.batch_size;
  inputs.measure.precision = Precision::kFloat32;
  inputs.measure.channels_last = false;
  inputs.learn = learn;
  inputs.epoch = epoch.epoch;
  if (epoch.epoch > 0) {
    inputs.state = FindLearned(learn, {epoch.ingredients, epoch.epoch - 1})->state;
  }
  return inputs;
}

std::string PlanState::EpochKey(const LearnSpec& learn, const LearnEpoch& epoch) const {
  const std::string name = absl::StrCat(
      "learn/", learn.per_tensor, "/", learn.constraint, "/", learn.batch_size, "/",
      absl::StrFormat("%.17g/%.17g", learn.learning_rate, learn.weight_decay), "/", learn.seed, "/",
      learn.fixed_temperature, "/", absl::StrJoin(epoch.ingredients, ","), "/", epoch.epoch);
  return cache_->Key(name, [&] { return LearnKey(LearnInputsFor(learn, epoch)); });
}

const Fact* PlanState::FindEpoch(const LearnSpec& learn, const LearnEpoch& epoch) const {
  return ledger_.Find(EpochKey(learn, epoch));
}

std::optional<LearnedCoefficients> PlanState::FindLearned(const LearnSpec& learn,
                                                          const LearnEpoch& epoch) const {
  const Fact* fact = FindEpoch(learn, epoch);
  if (fact == nullptr) return std::nullopt;
  const auto& learned = cache_->Learned(*fact, epoch.ingredients.size());
  return learned.ok() ? std::optional(*learned) : std::nullopt;
}

Task PlanState::LearnTaskFor(const LearnSpec& learn, const LearnEpoch& epoch) const {
  return LearnTask(LearnInputsFor(learn, epoch));
}

Json ScoreJson(const Score& score, Problem problem) {
  const bool weighted = score.weight_sum > 0;
  if (problem == Problem::kRegression) {
    Json json = {{"example_count", score.example_count},
                 {"batch_size", score.batch_size},
                 {"mean_squared_error", MetricValue(Metric::kMeanSquaredError, score)}};
    if (weighted) {
      json["weight_sum"] = score.weight_sum;
      return json;
    }
    json["pearson"] = score.pearson;
    json["spearman"] = score.spearman;
    return json;
  }
  Json json = {{"example_count", score.example_count},
               {"top1_correct", score.top1_correct},
               {"top5_correct", score.top5_correct},
               {"cross_entropy_sum", score.cross_entropy_sum},
               {"top1", MetricValue(Metric::kTop1, score)},
               {"top5", MetricValue(Metric::kTop5, score)},
               {"cross_entropy", MetricValue(Metric::kCrossEntropy, score)},
               {"batch_size", score.batch_size}};
  if (weighted) {
    json["weight_sum"] = score.weight_sum;
    json["top1_weight"] = score.top1_weight;
    json["top5_weight"] = score.top5_weight;
  }
  if (problem == Problem::kLanguageModel) {
    json["perplexity"] = MetricValue(Metric::kPerplexity, score);
    return json;
  }
  if (weighted) return json;
  json["mean_per_class"] = score.mean_per_class;
  json["f1_macro"] = score.f1_macro;
  json["f1_binary"] = score.f1_binary;
  json["matthews"] = score.matthews;
  json["ece"] = score.ece_equal_mass;
  return json;
}

Json StepJson(const RecipeStep& step, const std::string& candidate, Problem problem) {
  Json json = {
      {"candidate", candidate}, {"accepted", step.accepted}, {"soup_size", step.soup_size}};
  if (step.passed_over) json["passed_over"] = true;
  if (step.score.has_value()) json["score"] = ScoreJson(*step.score, problem);
  if (step.not_better_than.has_value()) {
    json["not_better_than"] = ScoreJson(*step.not_better_than, problem);
  }
  return json;
}

}  // namespace stockpot
