#include "server/recipe/analysis.h"

#include <algorithm>

#include "server/recipe/analysis_parts.h"

namespace stockpot {

bool IsUsable(const PlanState& state, int ingredient) {
  return ingredient == kBase ||
         std::binary_search(state.usable().begin(), state.usable().end(), ingredient);
}

std::vector<std::pair<int, Blend>> AnalysisMeasures(const PlanState& state) {
  Measures measures;
  const AnalysisSpec& analysis = state.spec().analysis;
  if (analysis.pairs.has_value()) AddPairMeasures(state, &measures);
  if (analysis.landscape.has_value()) AddLandscapeMeasures(state, &measures);
  return measures;
}

std::vector<AnalysisTask> AnalysisTasks(const PlanState& state) {
  Tasks tasks;
  const AnalysisSpec& analysis = state.spec().analysis;
  if (analysis.angles || analysis.pairs.has_value()) AddCompareTasks(state, &tasks);
  if (analysis.landscape.has_value()) AddLandscapeTask(state, &tasks);
  if (analysis.pairs.has_value() && analysis.pairs->approximation) AddGapTasks(state, &tasks);
  if (analysis.calibration) AddCalibrationTasks(state, &tasks);
  return tasks;
}

void AddAnalysis(const PlanState& state, Json* report) {
  const AnalysisSpec& analysis = state.spec().analysis;
  if (analysis.calibration) (*report)["calibrations"] = CalibrationReport(state);
  const std::optional<Moves> moves = FindMoves(state);
  if (analysis.angles && moves.has_value()) (*report)["angles"] = AnglesReport(state, *moves);
  if (analysis.pairs.has_value()) (*report)["pairs"] = PairsReport(state, moves);
  if (analysis.landscape.has_value()) (*report)["landscape"] = LandscapeReport(state);
}

}  // namespace stockpot
