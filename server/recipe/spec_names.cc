// The names of enumerators, as in proto/stockpot/v1/spec.proto.
#include "server/recipe/spec.h"

namespace stockpot {

bool Fits(Metric metric, Problem problem) {
  switch (metric) {
    case Metric::kTop1:
    case Metric::kTop5:
    case Metric::kCrossEntropy:
      return problem != Problem::kRegression;
    case Metric::kMeanPerClass:
    case Metric::kF1Binary:
    case Metric::kF1Macro:
    case Metric::kMatthews:
    case Metric::kMeanOfAccuracyAndF1:
      return problem == Problem::kClassification;
    case Metric::kPearson:
    case Metric::kSpearman:
    case Metric::kMeanOfPearsonAndSpearman:
    case Metric::kMeanSquaredError:
      return problem == Problem::kRegression;
    case Metric::kPerplexity:
      return problem == Problem::kLanguageModel;
  }
  return false;
}

absl::string_view ProblemName(Problem problem) {
  constexpr absl::string_view kNames[] = {"CLASSIFICATION", "REGRESSION", "LANGUAGE_MODEL"};
  return kNames[static_cast<int>(problem)];
}

absl::string_view AcceptanceName(Acceptance choice) {
  return choice == Acceptance::kStrictImprovement ? "STRICT_IMPROVEMENT" : "NOT_WORSE";
}

absl::string_view CandidateOrderName(CandidateOrder order) {
  constexpr absl::string_view kNames[] = {"BEST_FIRST", "AS_GIVEN", "RANDOM"};
  return kNames[static_cast<int>(order)];
}

absl::string_view EnsembleRankingName(EnsembleRanking ranking) {
  constexpr absl::string_view kNames[] = {"NO_RANKING", "ORDER_CANDIDATES", "FILTER_CANDIDATES"};
  return kNames[static_cast<int>(ranking)];
}

std::string RoleName(DataSetRole role) {
  constexpr const char* kNames[] = {"held_out", "test", "distribution_shift", "final"};
  return kNames[static_cast<int>(role)];
}

bool IsEnsemble(RecipeKind kind) {
  return kind == RecipeKind::kLogitEnsemble || kind == RecipeKind::kGreedyLogitEnsemble;
}

}  // namespace stockpot
