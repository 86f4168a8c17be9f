// Reading recipes and analyses.
#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/spec_parts.h"

namespace stockpot {
namespace {

constexpr int kMaxRepeats = 100;
constexpr int kMaxEpochs = 1000;
constexpr size_t kMaxCurve = 101;
constexpr size_t kMaxPairs = 5000;
constexpr size_t kMaxAngles = 200;
constexpr int kMaxLandscape = 101;

Acceptance ReadAcceptance(JsonReader& reader) {
  const int choice = ReadChoice(reader, "acceptance", {"STRICT_IMPROVEMENT", "NOT_WORSE"});
  return choice == 0 ? Acceptance::kStrictImprovement : Acceptance::kNotWorse;
}

void ReadGreedy(JsonReader reader, const JobSpec& spec, RecipeSpec* recipe) {
  recipe->acceptance = ReadAcceptance(reader);
  recipe->order = static_cast<CandidateOrder>(
      ReadChoice(reader, "order", {"BEST_FIRST", "AS_GIVEN", "RANDOM"}));
  reader.Read("seed", &recipe->seed);
  ReadCount(reader, "repeats", kMaxRepeats, &recipe->repeats);
  if (recipe->repeats > 1 && recipe->order != CandidateOrder::kRandom) {
    reader.AddViolation("repeats", "only an order of RANDOM differs when it is repeated");
  }
  recipe->ensemble_ranking = static_cast<EnsembleRanking>(ReadChoice(
      reader, "ensemble_ranking", {"NO_RANKING", "ORDER_CANDIDATES", "FILTER_CANDIDATES"}));
  if (recipe->ensemble_ranking == EnsembleRanking::kNone) return;
  if (recipe->order != CandidateOrder::kBestFirst) {
    reader.AddViolation("ensemble_ranking", "is an order itself: it needs order BEST_FIRST");
  }
  if (spec.problem == Problem::kLanguageModel) {
    reader.AddViolation("ensemble_ranking", "keeps logits, which LANGUAGE_MODEL has too many of");
  }
}

void ReadLearned(JsonReader reader, const JobSpec& spec, RecipeSpec* recipe) {
  LearnSpec& learn = recipe->learn;
  reader.Read("per_tensor", &learn.per_tensor);
  learn.constraint = ReadEnum(reader, "constraint", {"SOFTMAX", "FREE", "SUM_TO_ONE"});
  ReadCount(reader, "epochs", kMaxEpochs, &learn.epochs);
  learn.batch_size = spec.batch_size;
  ReadCount(reader, "batch_size", SpecLimits().max_batch_size, &learn.batch_size);
  reader.Read("learning_rate", &learn.learning_rate);
  if (learn.learning_rate == 0) learn.learning_rate = LearnSpec().learning_rate;
  reader.Read("weight_decay", &learn.weight_decay);
  for (const auto& [key, value] : {std::pair("learning_rate", learn.learning_rate),
                                   std::pair("weight_decay", learn.weight_decay)}) {
    if (!std::isfinite(value) || value < 0) {
      reader.AddViolation(key, "must be finite and not negative");
    }
  }
  reader.Read("seed", &learn.seed);
  reader.Read("fixed_temperature", &learn.fixed_temperature);
}

void ReadCoefficients(JsonReader& reader, std::vector<double>* coefficients) {
  reader.Read("coefficients", coefficients);
  if (coefficients->size() > kMaxCurve) {
    reader.AddViolation("coefficients", absl::StrCat("at most ", kMaxCurve));
  }
  if (!std::all_of(coefficients->begin(), coefficients->end(),
                   [](double value) { return std::isfinite(value); })) {
    reader.AddViolation("coefficients", "must be finite");
  }
}

WiseFtSpec ReadWiseFt(JsonReader reader) {
  WiseFtSpec wise_ft;
  ReadCoefficients(reader, &wise_ft.coefficients);
  if (wise_ft.coefficients.empty()) {
    for (int tenth = 0; tenth <= 10; ++tenth) wise_ft.coefficients.push_back(tenth / 10.0);
  }
  reader.Read("select", &wise_ft.select);
  return wise_ft;
}

// Positions of ingredients by display name.
class Names {
 public:
  explicit Names(const JobSpec& spec) : are_known_(!spec.has_patterns()) {
    for (size_t i = 0; i < spec.ingredients.size(); ++i) {
      positions_.emplace(spec.ingredients[i].display_name, static_cast<int>(i));
    }
  }
  int Read(JsonReader& reader, const std::string& key) const {
    std::string name;
    reader.Read(key, &name);
    const auto found = positions_.find(name);
    if (found != positions_.end()) return found->second;
    if (!are_known_) return 0;
    reader.AddViolation(key, absl::StrCat("'", name, "' is not the name of an ingredient"));
    return 0;
  }
  int ReadModel(JsonReader& reader, const std::string& key, const JobSpec& spec) const {
    std::string name;
    reader.Read(key, &name);
    if (name != "base" || positions_.count(name) > 0) return Read(reader, key);
    if (spec.base_uri.empty()) reader.AddViolation(key, "'base' needs spec.model.base_uri");
    return kBase;
  }

  bool are_known() const { return are_known_; }

 private:
  const bool are_known_;  // else they are made of patterns, later
  std::map<std::string, int> positions_;
};

int ReadDataSetName(JsonReader& reader, const JobSpec& spec) {
  std::string name;
  reader.Read("data_set", &name);
  if (name.empty()) return 0;
  for (size_t i = 0; i < spec.data_sets.size(); ++i) {
    if (spec.data_sets[i].name == name) return static_cast<int>(i);
  }
  reader.AddViolation("data_set", absl::StrCat("'", name, "' is not the name of a data set"));
  return 0;
}

PairAnalysisSpec ReadPairs(JsonReader reader, const JobSpec& spec, const Names& names) {
  PairAnalysisSpec analysis;
  ReadCoefficients(reader, &analysis.coefficients);
  if (analysis.coefficients.empty()) analysis.coefficients = {0.5};
  for (JsonReader& item : reader.List("pairs")) {
    const int first = names.Read(item, "first");
    const int second = names.Read(item, "second");
    if (first == second && names.are_known())
      item.AddViolation("second", "a pair is of two different ingredients");
    analysis.pairs.emplace_back(first, second);
  }
  if (analysis.pairs.empty()) {
    const int count = static_cast<int>(spec.ingredients.size());
    for (int i = 0; i < count; ++i) {
      for (int j = i + 1; j < count; ++j) analysis.pairs.emplace_back(i, j);
    }
  }
  if (analysis.pairs.size() > kMaxPairs) {
    reader.AddViolation("pairs", absl::StrCat("at most ", kMaxPairs, ", got ",
                                              analysis.pairs.size(), ": name those that matter"));
  }
  reader.Read("approximation", &analysis.approximation);
  reader.Read("step", &analysis.step);
  if (analysis.step == 0) analysis.step = PairAnalysisSpec().step;
  if (!(analysis.step > 0 && analysis.step <= 0.5)) {
    reader.AddViolation("step", "must be more than 0 and at most 0.5");
  }
  analysis.data_set = ReadDataSetName(reader, spec);
  if (analysis.approximation && spec.problem != Problem::kClassification) {
    reader.AddViolation("approximation", "is of the cross-entropy of a CLASSIFICATION");
  }
  return analysis;
}

LandscapeSpec ReadLandscape(JsonReader reader, const JobSpec& spec, const Names& names) {
  LandscapeSpec landscape;
  const char* const kKeys[] = {"first", "second", "third"};
  for (int i = 0; i < 3; ++i) landscape.models[i] = names.ReadModel(reader, kKeys[i], spec);
  for (int i = 1; i < 3 && names.are_known(); ++i) {
    if (std::count(landscape.models, landscape.models + i, landscape.models[i]) > 0) {
      reader.AddViolation(kKeys[i], "three different models make a plane");
    }
  }
  ReadCount(reader, "points", kMaxLandscape, &landscape.points);
  if (landscape.points < 2) reader.AddViolation("points", "must be at least 2");
  double low = 0, high = 0;
  reader.Read("low", &low);
  reader.Read("high", &high);
  if (low != 0 || high != 0) {
    landscape.low = low;
    landscape.high = high;
  }
  if (!std::isfinite(low) || !std::isfinite(high) || landscape.low >= landscape.high) {
    reader.AddViolation("high", "must be finite and more than low");
  }
  landscape.data_set = ReadDataSetName(reader, spec);
  return landscape;
}

}  // namespace

RecipeSpec ReadRecipe(JsonReader reader, const JobSpec& spec) {
  const std::pair<const char*, RecipeKind> kKinds[] = {
      {"greedy", RecipeKind::kGreedy},
      {"uniform", RecipeKind::kUniform},
      {"best_single", RecipeKind::kBestSingle},
      {"learned", RecipeKind::kLearned},
      {"logit_ensemble", RecipeKind::kLogitEnsemble},
      {"greedy_logit_ensemble", RecipeKind::kGreedyLogitEnsemble},
  };
  RecipeSpec recipe;
  std::string given;
  for (const auto& [key, kind] : kKinds) {
    if (!reader.Has(key)) continue;
    if (given.empty()) {
      given = key;
      recipe.kind = kind;
    } else {
      reader.AddViolation(key, absl::StrCat("contradicts ", given, ": give one recipe"));
    }
  }
  if (recipe.kind == RecipeKind::kGreedy) ReadGreedy(reader.Object("greedy"), spec, &recipe);
  if (recipe.kind == RecipeKind::kLearned) ReadLearned(reader.Object("learned"), spec, &recipe);
  if (recipe.kind == RecipeKind::kGreedyLogitEnsemble) {
    JsonReader ensemble = reader.Object(given);
    recipe.acceptance = ReadAcceptance(ensemble);
  }
  if (IsEnsemble(recipe.kind) && spec.problem == Problem::kLanguageModel) {
    reader.AddViolation(given, "keeps logits, which LANGUAGE_MODEL has too many of");
  }
  if (!reader.Has("wise_ft")) return recipe;
  recipe.wise_ft = ReadWiseFt(reader.Object("wise_ft"));
  if (spec.base_uri.empty()) reader.AddViolation("wise_ft", "needs spec.model.base_uri");
  if (IsEnsemble(recipe.kind)) reader.AddViolation("wise_ft", "an ensemble has no weights");
  return recipe;
}

AnalysisSpec ReadAnalysis(JsonReader reader, const JobSpec& spec) {
  AnalysisSpec analysis;
  const Names names(spec);
  reader.Read("calibration", &analysis.calibration);
  if (analysis.calibration && spec.problem != Problem::kClassification) {
    reader.AddViolation("calibration", "is of a CLASSIFICATION");
  }
  reader.Read("angles", &analysis.angles);
  if (analysis.angles && spec.base_uri.empty()) {
    reader.AddViolation("angles", "are of moves from spec.model.base_uri, which is missing");
  }
  if (analysis.angles && spec.ingredients.size() > kMaxAngles) {
    reader.AddViolation("angles", absl::StrCat("at most ", kMaxAngles, " ingredients"));
  }
  if (reader.Has("pairs")) analysis.pairs = ReadPairs(reader.Object("pairs"), spec, names);
  if (reader.Has("landscape")) {
    analysis.landscape = ReadLandscape(reader.Object("landscape"), spec, names);
  }
  return analysis;
}

}  // namespace stockpot
