// The analyses, each in its own file. Internal to recipe/: see analysis.h.
#ifndef STOCKPOT_SERVER_RECIPE_ANALYSIS_PARTS_H_
#define STOCKPOT_SERVER_RECIPE_ANALYSIS_PARTS_H_

#include <optional>
#include <utility>
#include <vector>

#include "server/recipe/analysis.h"

namespace stockpot {

using Measures = std::vector<std::pair<int, Blend>>;
using Tasks = std::vector<AnalysisTask>;

// calibration.cc
void AddCalibrationTasks(const PlanState& state, Tasks* tasks);
Json CalibrationReport(const PlanState& state);

// compare_weights.cc: angles, and what is drawn or correlated with them.
// Inner products of moves from an origin, by position among `ingredients`.
struct Moves {
  std::vector<int> ingredients;
  std::vector<double> products;  // row-major
  double Product(size_t i, size_t j) const { return products[i * ingredients.size() + j]; }
  double Norm(size_t i) const;
  double Distance(size_t i, size_t j) const;
  double AngleInDegrees(size_t i, size_t j) const;  // 0 where either did not move
};
void AddCompareTasks(const PlanState& state, Tasks* tasks);
// Of all usable ingredients, from the base, or from the first of them. Nothing when not known.
std::optional<Moves> FindMoves(const PlanState& state);
Json AnglesReport(const PlanState& state, const Moves& moves);

// pairs.cc
void AddPairMeasures(const PlanState& state, Measures* measures);
void AddGapTasks(const PlanState& state, Tasks* tasks);
Json PairsReport(const PlanState& state, const std::optional<Moves>& moves);

// landscape.cc
void AddLandscapeMeasures(const PlanState& state, Measures* measures);
void AddLandscapeTask(const PlanState& state, Tasks* tasks);
Json LandscapeReport(const PlanState& state);

bool IsUsable(const PlanState& state, int ingredient);  // kBase is

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_ANALYSIS_PARTS_H_
