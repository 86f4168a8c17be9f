#include <algorithm>

#include "server/recipe/analysis_parts.h"

namespace stockpot {
namespace {

struct GridPoint {
  double x, y;
  Blend blend;
};

std::vector<GridPoint> Grid(const LandscapeSpec& spec) {
  const auto at = [&](int step) {
    return spec.low + (spec.high - spec.low) * step / (spec.points - 1);
  };
  std::vector<GridPoint> grid;
  for (int row = 0; row < spec.points; ++row) {
    for (int column = 0; column < spec.points; ++column) {
      const double x = at(column), y = at(row);
      grid.push_back(
          {x, y, Blend{{spec.models[0], spec.models[1], spec.models[2]}, {1 - x - y, x, y}}});
    }
  }
  return grid;
}

bool AllUsable(const PlanState& state) {
  const auto& models = state.spec().analysis.landscape->models;
  return std::all_of(std::begin(models), std::end(models),
                     [&](int model) { return IsUsable(state, model); });
}

CompareInputs LandscapeInputs(const PlanState& state) {
  const auto& models = state.spec().analysis.landscape->models;
  return {{state.ReferenceOf(models[1]), state.ReferenceOf(models[2])},
          state.ReferenceOf(models[0]),
          state.Selection()};
}

const std::string& LandscapeKey(const PlanState& state) {
  return state.cache().Key("landscape", [&] { return CompareKey(LandscapeInputs(state)); });
}

}  // namespace

void AddLandscapeMeasures(const PlanState& state, Measures* measures) {
  if (!AllUsable(state)) return;
  const LandscapeSpec& spec = *state.spec().analysis.landscape;
  for (GridPoint& point : Grid(spec)) {
    measures->emplace_back(spec.data_set, std::move(point.blend));
  }
}

void AddLandscapeTask(const PlanState& state, Tasks* tasks) {
  if (!AllUsable(state)) return;
  tasks->push_back({LandscapeKey(state), "the plane of the landscape", 0,
                    [&state] { return CompareTask(LandscapeInputs(state)); }});
}

Json LandscapeReport(const PlanState& state) {
  const LandscapeSpec& spec = *state.spec().analysis.landscape;
  Json report = {{"data_set", state.spec().data_sets[size_t(spec.data_set)].name}};
  report["models"] = state.NamesOf(Blend{{spec.models[0], spec.models[1], spec.models[2]}, {}});
  if (!AllUsable(state)) return report;
  Json points = Json::array();
  for (const GridPoint& point : Grid(spec)) {
    const std::optional<Score> score = state.Find(spec.data_set, point.blend);
    if (!score.has_value()) continue;
    points.push_back(
        {{"x", point.x}, {"y", point.y}, {"score", ScoreJson(*score, state.spec().problem)}});
  }
  report["points"] = std::move(points);
  const Fact* fact = state.FindFact(LandscapeKey(state));
  if (fact == nullptr) return report;
  const auto products = ReadInnerProducts(*fact, 2);
  if (!products.ok()) return report;
  report["second_squared"] = (*products)[0];
  report["inner_product"] = (*products)[1];
  report["third_squared"] = (*products)[3];
  return report;
}

}  // namespace stockpot
