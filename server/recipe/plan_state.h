// What a ledger says of one job, worked out once per decision. Internal to recipe/: see plan.h.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
#define STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/recipe/plan.h"

namespace stockpot {

struct MeasureKeys {
  std::map<std::pair<int, Blend>, std::string> keys;  // by data set and blend
};

class PlanState final : public HeldOutScores {
 public:
  struct Ingredient {
    const Fact* fact = nullptr;
    CheckpointFound found;
    absl::Status problem;   // why it cannot be used
    int identical_to = -1;  // an earlier ingredient with the same weights
  };
  struct NamedBlend {
    std::string kind;
    Blend blend;
  };

  PlanState(const JobSpec& spec, const PlanOptions& options, const Ledger& ledger,
            MeasureKeys* keys);

  std::optional<Score> Find(const Blend& blend) const override { return Find(0, blend); }
  // Null when not measured, or when the measure failed (see measure_failure()).
  std::optional<Score> Find(int data_set, const Blend& blend) const;
  std::string KeyOf(int data_set, const Blend& blend) const;
  Task MeasureTaskFor(int data_set, const Blend& blend) const;
  std::string NameOf(int ingredient) const { return spec_.ingredients[ingredient].display_name; }
  std::vector<std::string> NamesOf(const Blend& blend) const;

  // Every inspection is known, good or bad.
  bool inspected() const { return missing_inspections_.empty(); }
  const std::vector<Task>& missing_inspections() const { return missing_inspections_; }
  size_t inspections_done() const { return inspections_done_; }
  // Why the job cannot go on; OK when it can.
  const absl::Status& failure() const { return failure_; }

  const std::vector<Ingredient>& ingredients() const { return ingredients_; }
  const std::vector<int>& usable() const { return usable_; }
  const ArchitectureFound& architecture() const { return architecture_; }
  // Null while not inspected.
  const DataSetFound* data_set(int index) const {
    return data_sets_[index].has_value() ? &*data_sets_[index] : nullptr;
  }
  const Recipe* recipe() const { return recipe_.get(); }
  // Only once inspected() and not failed.
  const Decision& decision() const { return decision_; }

  // The blends of the report's headline, as far as the recipe has decided them.
  std::vector<NamedBlend> NamedBlends() const;
  // Every (data set, blend) the report needs beside what the recipe asked for.
  std::vector<std::pair<int, Blend>> ReportMeasures() const;
  std::string ChosenKind() const;

  // The write of the soup; only when the decision is done.
  Task WriteTask() const;
  // The soup's files, once written; null before.
  const Fact* written() const;

 private:
  void Inspect(const Ledger& ledger);
  void InspectIngredients(const Ledger& ledger);
  // The fact, or null after noting that the task is missing.
  const Fact* Need(const Ledger& ledger, Task task);
  void JudgeIngredients();
  absl::Status BadIngredients() const;
  void FindMeasureFailures();
  MeasureInputs InputsFor(int data_set, const Blend& blend) const;

  const JobSpec& spec_;
  const PlanOptions& options_;
  const Ledger& ledger_;
  MeasureKeys* const keys_;

  std::vector<Task> missing_inspections_;
  size_t inspections_done_ = 0;
  absl::Status failure_;
  ArchitectureFound architecture_;
  std::vector<std::optional<DataSetFound>> data_sets_;
  std::vector<Ingredient> ingredients_;
  std::vector<int> usable_;
  std::unique_ptr<Recipe> recipe_;
  Decision decision_;
};

// Scores for the report: counts, sums and the rates derived from them.
Json ScoreJson(const Score& score);
Json StepJson(const RecipeStep& step, const std::string& candidate);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
