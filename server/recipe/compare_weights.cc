#include <algorithm>
#include <cmath>

#include "server/recipe/analysis_parts.h"

namespace stockpot {
namespace {

// A thousand ingredients' million inner products would be read by nobody.
constexpr size_t kMostCompared = 200;
constexpr double kDegreesPerRadian = 57.295779513082320877;

CompareInputs InputsFor(const PlanState& state) {
  CompareInputs inputs;
  for (const int ingredient : state.usable()) {
    inputs.ingredients.push_back(state.ReferenceOf(ingredient));
  }
  if (state.base() != nullptr) inputs.base = state.ReferenceOf(kBase);
  inputs.selection = state.Selection();
  return inputs;
}

const std::string& KeyFor(const PlanState& state) {
  return state.cache().Key("weights", [&] { return CompareKey(InputsFor(state)); });
}

}  // namespace

double Moves::Norm(size_t i) const { return std::sqrt(Product(i, i)); }

double Moves::Distance(size_t i, size_t j) const {
  return std::sqrt(std::max(0.0, Product(i, i) + Product(j, j) - 2 * Product(i, j)));
}

double Moves::AngleInDegrees(size_t i, size_t j) const {
  const double lengths = Norm(i) * Norm(j);
  if (i == j || lengths == 0) return 0;
  return std::acos(std::clamp(Product(i, j) / lengths, -1.0, 1.0)) * kDegreesPerRadian;
}

void AddCompareTasks(const PlanState& state, Tasks* tasks) {
  if (state.usable().size() > kMostCompared) return;
  tasks->push_back({KeyFor(state), "comparison of weights", 0,
                    [&state] { return CompareTask(InputsFor(state)); }});
}

std::optional<Moves> FindMoves(const PlanState& state) {
  const AnalysisSpec& analysis = state.spec().analysis;
  if (!(analysis.angles || analysis.pairs.has_value())) return std::nullopt;
  if (state.usable().size() > kMostCompared) return std::nullopt;
  const Fact* fact = state.FindFact(KeyFor(state));
  if (fact == nullptr) return std::nullopt;
  auto products = ReadInnerProducts(*fact, state.usable().size());
  if (!products.ok()) return std::nullopt;
  return Moves{state.usable(), *std::move(products)};
}

Json AnglesReport(const PlanState& state, const Moves& moves) {
  std::vector<double> norms, angles;
  for (size_t i = 0; i < moves.ingredients.size(); ++i) {
    norms.push_back(moves.Norm(i));
    for (size_t j = 0; j < moves.ingredients.size(); ++j) {
      angles.push_back(moves.AngleInDegrees(i, j));
    }
  }
  return {{"ingredients", state.NamesOf(Blend{moves.ingredients, {}})},
          {"norms", norms},
          {"angles", angles}};
}

}  // namespace stockpot
