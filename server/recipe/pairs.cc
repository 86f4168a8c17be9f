#include <algorithm>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/base/statistics.h"
#include "server/recipe/analysis_parts.h"

namespace stockpot {
namespace {

bool IsInside(double coefficient) { return coefficient > 0 && coefficient < 1; }

Blend PointOf(int first, int second, double coefficient) {
  if (coefficient == 0) return Blend{{first}, {}};
  if (coefficient == 1) return Blend{{second}, {}};
  return Blend{{first, second}, {1 - coefficient, coefficient}};
}

Blend EnsembleOf(int first, int second, double coefficient) {
  return Blend{{first, second}, {1 - coefficient, coefficient}, /*ensemble=*/true};
}

template <typename Use>
void ForEachPair(const PlanState& state, Use use) {
  for (const auto& [first, second] : state.spec().analysis.pairs->pairs) {
    if (IsUsable(state, first) && IsUsable(state, second)) use(first, second);
  }
}

// The approximation at one coefficient of one pair.
class GapStep {
 public:
  GapStep(const PlanState& state, int first, int second, double coefficient)
      : state_(state), first_(first), second_(second), coefficient_(coefficient) {}

  // Both ends are measured.
  bool IsReady() const {
    return state_.Find(set(), Blend{{first_}, {}}).has_value() &&
           state_.Find(set(), Blend{{second_}, {}}).has_value();
  }

  const std::string& Key() const {
    return state_.cache().Key(absl::StrCat("gap/", first_, "/", second_, "/", Position()),
                              [&] { return GapKey(Inputs()); });
  }

  AnalysisTask ToTask() const {
    return {Key(),
            absl::StrCat("soup minus ensemble of ", state_.NameOf(first_), " and ",
                         state_.NameOf(second_)),
            3 * state_.data_set(set())->example_count,
            [step = *this] { return GapTask(step.Inputs()); }};
  }

  std::optional<GapFound> Found() const {
    if (!IsReady()) return std::nullopt;
    const Fact* fact = state_.FindFact(Key());
    if (fact == nullptr) return std::nullopt;
    const absl::StatusOr<GapFound> gap = ReadGapFound(*fact);
    return gap.ok() ? std::optional(*gap) : std::nullopt;
  }

 private:
  int set() const { return state_.spec().analysis.pairs->data_set; }

  size_t Position() const {
    const std::vector<double>& all = state_.spec().analysis.pairs->coefficients;
    return static_cast<size_t>(std::find(all.begin(), all.end(), coefficient_) - all.begin());
  }

  GapInputs Inputs() const {
    GapInputs inputs;
    inputs.measure = state_.ContextOf(set());
    inputs.first = state_.KeptLogitsOf(set(), Blend{{first_}, {}}).front();
    inputs.second = state_.KeptLogitsOf(set(), Blend{{second_}, {}}).front();
    inputs.measure.batch_size = inputs.first.batch_size;
    inputs.coefficient = coefficient_;
    inputs.step = state_.spec().analysis.pairs->step;
    for (const double coefficient :
         {coefficient_ - inputs.step, coefficient_, coefficient_ + inputs.step}) {
      inputs.soups.push_back(state_.WeightsOf(PointOf(first_, second_, coefficient)));
    }
    return inputs;
  }

  const PlanState& state_;
  const int first_, second_;
  const double coefficient_;
};

// Two lists whose correlation is told.
struct Points {
  std::vector<double> x, y;
  void Add(double a, double b) {
    x.push_back(a);
    y.push_back(b);
  }
  Json Report() const {
    return {{"count", x.size()},
            {"pearson", PearsonCorrelation(x, y)},
            {"spearman", SpearmanCorrelation(x, y)}};
  }
};

class PairsReporter {
 public:
  PairsReporter(const PlanState& state, const std::optional<Moves>& moves)
      : state_(state), analysis_(*state.spec().analysis.pairs), moves_(moves) {}

  Json Report() {
    Json pairs = Json::array();
    ForEachPair(state_, [&](int first, int second) { pairs.push_back(Pair(first, second)); });
    Json report = {{"data_set", state_.spec().data_sets[size_t(analysis_.data_set)].name},
                   {"pairs", std::move(pairs)}};
    if (!gaps_.x.empty()) report["approximation_to_difference"] = gaps_.Report();
    if (!gains_.x.empty()) report["angle_to_gain"] = gains_.Report();
    return report;
  }

 private:
  Json Pair(int first, int second) {
    Json pair = {{"first", state_.NameOf(first)}, {"second", state_.NameOf(second)}};
    if (state_.spec().analysis.angles && moves_.has_value()) {
      pair["angle"] = moves_->AngleInDegrees(PositionOf(first), PositionOf(second));
    }
    Json points = Json::array();
    for (const double coefficient : analysis_.coefficients) {
      const auto score = state_.Find(analysis_.data_set, PointOf(first, second, coefficient));
      if (score.has_value()) points.push_back(Point(first, second, coefficient, *score));
    }
    pair["points"] = std::move(points);
    NoteGain(first, second);
    return pair;
  }

  Json Point(int first, int second, double coefficient, const Score& score) {
    const Problem problem = state_.spec().problem;
    Json point = {{"coefficient", coefficient}, {"score", ScoreJson(score, problem)}};
    if (!analysis_.approximation || !IsInside(coefficient)) return point;
    const auto ensemble = state_.Find(analysis_.data_set, EnsembleOf(first, second, coefficient));
    if (ensemble.has_value()) point["ensemble_score"] = ScoreJson(*ensemble, problem);
    const auto gap = GapStep(state_, first, second, coefficient).Found();
    if (!gap.has_value()) return point;
    point["gap"] = {{"inverse_temperature", gap->inverse_temperature},
                    {"soup_loss", gap->soup_loss},
                    {"ensemble_loss", gap->ensemble_loss},
                    {"second_derivative", gap->second_derivative},
                    {"variance", gap->variance},
                    {"approximation", gap->approximation}};
    gaps_.Add(gap->approximation, gap->soup_loss - gap->ensemble_loss);
    return point;
  }

  void NoteGain(int first, int second) {
    if (!moves_.has_value()) return;
    const auto nearest =
        std::min_element(analysis_.coefficients.begin(), analysis_.coefficients.end(),
                         [](double a, double b) { return std::abs(a - 0.5) < std::abs(b - 0.5); });
    if (!IsInside(*nearest)) return;
    const auto value = [&](double coefficient) -> std::optional<double> {
      const auto score = state_.Find(analysis_.data_set, PointOf(first, second, coefficient));
      if (!score.has_value()) return std::nullopt;
      return MetricValue(
          state_.spec().problem == Problem::kRegression ? Metric::kMeanSquaredError : Metric::kTop1,
          *score);
    };
    const auto soup = value(*nearest), one = value(0), other = value(1);
    if (!soup.has_value() || !one.has_value() || !other.has_value()) return;
    const size_t i = PositionOf(first), j = PositionOf(second);
    gains_.Add(state_.base() != nullptr ? moves_->AngleInDegrees(i, j) : moves_->Distance(i, j),
               *soup - (*one + *other) / 2);
  }

  size_t PositionOf(int ingredient) const {
    const std::vector<int>& all = moves_->ingredients;
    return static_cast<size_t>(std::lower_bound(all.begin(), all.end(), ingredient) - all.begin());
  }

  const PlanState& state_;
  const PairAnalysisSpec& analysis_;
  const std::optional<Moves>& moves_;
  Points gaps_, gains_;
};

}  // namespace

void AddPairMeasures(const PlanState& state, Measures* measures) {
  const PairAnalysisSpec& analysis = *state.spec().analysis.pairs;
  ForEachPair(state, [&](int first, int second) {
    measures->emplace_back(analysis.data_set, Blend{{first}, {}});
    measures->emplace_back(analysis.data_set, Blend{{second}, {}});
    for (const double coefficient : analysis.coefficients) {
      measures->emplace_back(analysis.data_set, PointOf(first, second, coefficient));
      if (!analysis.approximation || !IsInside(coefficient)) continue;
      measures->emplace_back(analysis.data_set, EnsembleOf(first, second, coefficient));
    }
  });
}

void AddGapTasks(const PlanState& state, Tasks* tasks) {
  ForEachPair(state, [&](int first, int second) {
    for (const double coefficient : state.spec().analysis.pairs->coefficients) {
      if (!IsInside(coefficient)) continue;
      const GapStep step(state, first, second, coefficient);
      if (step.IsReady()) tasks->push_back(step.ToTask());
    }
  });
}

Json PairsReport(const PlanState& state, const std::optional<Moves>& moves) {
  return PairsReporter(state, moves).Report();
}

}  // namespace stockpot
