#include <utility>

#include "absl/strings/str_cat.h"
#include "server/recipe/analysis_parts.h"

namespace stockpot {
namespace {

struct Calibrated {
  std::string name;
  Blend blend;
};

// The report's blends, then the ingredients.
std::vector<Calibrated> AllCalibrated(const PlanState& state) {
  std::vector<Calibrated> all;
  for (PlanState::NamedBlend& named : state.NamedBlends()) {
    all.push_back({std::move(named.kind), std::move(named.blend)});
  }
  for (const int ingredient : state.usable()) {
    all.push_back({state.NameOf(ingredient), Blend{{ingredient}, {}}});
  }
  return all;
}

// A step on the logits of one calibrated model on one data set: the fit where there is no
// temperature yet.
class Step {
 public:
  Step(const PlanState& state, Calibrated calibrated, int data_set,
       std::optional<double> temperature)
      : state_(state),
        calibrated_(std::move(calibrated)),
        data_set_(data_set),
        temperature_(temperature) {}

  const std::string& Key() const {
    // The position of a blend of one name may change as recipes end: its logits' key does not.
    const std::string& measure = state_.Look(data_set_, calibrated_.blend).key;
    return state_.cache().Key(
        absl::StrCat(temperature_.has_value() ? "scaled/" : "fitted/", data_set_, "/", measure),
        [&] { return EnsembleKey(Inputs()); });
  }

  AnalysisTask ToTask() const {
    return {Key(), absl::StrCat("calibration of ", calibrated_.name),
            state_.data_set(data_set_)->example_count,
            [step = *this] { return EnsembleTask(step.Inputs()); }};
  }

  std::optional<Score> Found() const {
    const Fact* fact = state_.FindFact(Key());
    if (fact == nullptr) return std::nullopt;
    const absl::StatusOr<Score> score = ReadScore(*fact);
    return score.ok() ? std::optional(*score) : std::nullopt;
  }

 private:
  EnsembleInputs Inputs() const {
    const Blend& blend = calibrated_.blend;
    return {state_.ContextOf(data_set_), state_.KeptLogitsOf(data_set_, blend),
            temperature_.value_or(1), !temperature_.has_value(),
            blend.ensemble ? blend.coefficients : std::vector<double>()};
  }

  const PlanState& state_;
  const Calibrated calibrated_;
  const int data_set_;
  const std::optional<double> temperature_;
};

int CountOfSets(const PlanState& state) { return static_cast<int>(state.spec().data_sets.size()); }

Json Entry(const std::string& data_set, const Score& plain, const Score& scaled) {
  const auto count = static_cast<double>(plain.example_count);
  return {{"data_set", data_set},
          {"ece_equal_mass", plain.ece_equal_mass},
          {"ece_equal_width", plain.ece_equal_width},
          {"ece_equal_mass_scaled", scaled.ece_equal_mass},
          {"ece_equal_width_scaled", scaled.ece_equal_width},
          {"cross_entropy", plain.cross_entropy_sum / count},
          {"cross_entropy_scaled", scaled.cross_entropy_sum / count}};
}

}  // namespace

void AddCalibrationTasks(const PlanState& state, Tasks* tasks) {
  for (const Calibrated& calibrated : AllCalibrated(state)) {
    if (!state.Find(0, calibrated.blend).has_value()) continue;
    const Step fit(state, calibrated, 0, std::nullopt);
    tasks->push_back(fit.ToTask());
    const std::optional<Score> fitted = fit.Found();
    if (!fitted.has_value()) continue;
    for (int data_set = 1; data_set < CountOfSets(state); ++data_set) {
      if (!state.Find(data_set, calibrated.blend).has_value()) continue;
      tasks->push_back(Step(state, calibrated, data_set, fitted->temperature).ToTask());
    }
  }
}

Json CalibrationReport(const PlanState& state) {
  Json list = Json::array();
  for (const Calibrated& calibrated : AllCalibrated(state)) {
    const std::optional<Score> plain = state.Find(0, calibrated.blend);
    if (!plain.has_value()) continue;
    const std::optional<Score> fitted = Step(state, calibrated, 0, std::nullopt).Found();
    if (!fitted.has_value()) continue;
    Json entries = Json::array({Entry(state.spec().data_sets[0].name, *plain, *fitted)});
    for (int data_set = 1; data_set < CountOfSets(state); ++data_set) {
      const std::optional<Score> other = state.Find(data_set, calibrated.blend);
      if (!other.has_value()) continue;
      const auto scaled = Step(state, calibrated, data_set, fitted->temperature).Found();
      if (!scaled.has_value()) continue;
      entries.push_back(Entry(state.spec().data_sets[size_t(data_set)].name, *other, *scaled));
    }
    list.push_back({{"name", calibrated.name},
                    {"temperature", fitted->temperature},
                    {"entries", std::move(entries)}});
  }
  return list;
}

}  // namespace stockpot
