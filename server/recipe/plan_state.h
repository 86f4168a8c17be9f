// What a ledger says of one job, worked out once per decision. Internal to recipe/: see plan.h.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
#define STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/recipe/plan_cache.h"

namespace stockpot {

class PlanState final : public HeldOutScores {
 public:
  struct NamedBlend {
    std::string kind;
    Blend blend;
  };

  PlanState(const JobSpec& spec, const PlanOptions& options, int speculation, const Ledger& ledger,
            PlanCache* cache);

  std::optional<Score> Find(const Blend& blend) const override { return Find(0, blend); }
  // Null when not measured, or when the measure failed (see failure()).
  std::optional<Score> Find(int data_set, const Blend& blend) const;
  // At the job's batch size, or at half of it where that failed or ran out of memory.
  struct Measure {
    const std::string& key;
    bool known;                   // well or not
    std::optional<Score> score;   // when well
    absl::Status halved_because;  // OK: not halved
  };
  Measure Look(int data_set, const Blend& blend) const;
  Task MeasureTaskFor(int data_set, const Blend& blend) const;
  std::string NameOf(int ingredient) const { return spec_.ingredients[ingredient].display_name; }
  std::vector<std::string> NamesOf(const Blend& blend) const;

  // Every inspection is known, good or bad.
  bool inspected() const { return missing_inspections_.empty(); }
  const std::vector<const Task*>& missing_inspections() const { return missing_inspections_; }
  size_t inspections_done() const { return inspections_done_; }
  // Why the job cannot go on; OK when it can.
  const absl::Status& failure() const { return failure_; }

  // The first so many ingredients, up to one that is not inspected yet.
  size_t ingredients_told() const { return ingredients_told_; }
  const InspectedIngredient& ingredient(size_t index) const { return cache_->ingredients()[index]; }
  // Why an ingredient cannot be used: its inspection, or (SKIP) its own measure.
  const absl::Status& problem(size_t index) const { return problems_[index]; }
  const std::vector<int>& usable() const { return usable_; }
  const ArchitectureFound& architecture() const { return architecture_; }
  // Null while not inspected.
  const DataSetFound* data_set(int index) const { return data_sets_[index]; }
  // Null until inspected() and at least one ingredient is usable.
  const Recipe* recipe() const { return recipe_.get(); }
  const Decision& decision() const { return decision_; }
  // Why the recipe ended early: "" when it did not.
  std::string StoppedBecause() const;
  // The end of the budget of workers' time, while it is open; else its key is empty.
  Task EndBudget() const;

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
  void Inspect();
  // The fact, or null after noting that the task is missing.
  const Fact* Need(const Task& task);
  Json ScoresForMetadata() const;
  void JudgeIngredients();
  absl::Status BadIngredients() const;
  void FindFailure();
  // The status of a measure; OK while not known.
  absl::Status MeasureFailure(int data_set, const Blend& blend) const;
  struct CachedMeasure {
    const PlanCache::Measure* measure;
    bool known;
    absl::Status halved_because;
  };
  CachedMeasure Cached(int data_set, const Blend& blend) const;
  // Reads the fact into the cache when there is one; `known` says whether there is.
  const PlanCache::Measure& Cached(int data_set, const Blend& blend, bool half, bool* known) const;
  MeasureInputs InputsFor(int data_set, const Blend& blend, int batch_size) const;
  int64_t Budget() const;

  const JobSpec& spec_;
  const PlanOptions& options_;
  const Ledger& ledger_;
  PlanCache* const cache_;

  std::vector<const Task*> missing_inspections_;
  size_t inspections_done_ = 0;
  absl::Status failure_;
  ArchitectureFound architecture_;
  std::vector<const DataSetFound*> data_sets_;
  size_t ingredients_told_ = 0;
  std::vector<absl::Status> problems_;
  std::vector<int> usable_;
  std::unique_ptr<Recipe> recipe_;
  Decision decision_;
};

// Scores for the report: counts, sums and the rates derived from them.
Json ScoreJson(const Score& score);
Json StepJson(const RecipeStep& step, const std::string& candidate);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
