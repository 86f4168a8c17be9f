// What a ledger says of one job, worked out once per decision. Internal to recipe/: see plan.h.
//
//   plan_state.cc     inspections, recipes, what makes the job fail
//   plan_measures.cc  measures and epochs: keys, tasks, results
//   plan_blends.cc    the blends of the report, and the soup that is written
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
#define STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "server/recipe/plan_cache.h"

namespace stockpot {

// Part of an analysis that is no measure.
struct AnalysisTask {
  std::string key;
  std::string what;  // for people: "calibration of greedy"
  int64_t example_count = 0;
  std::function<Task()> make;  // the state must outlive it
};

class PlanState final : public HeldOutScores {
 public:
  struct NamedBlend {
    std::string kind;
    Blend blend;
  };
  // A recipe of the job, and what it decides now.
  struct Run {
    const RecipeSpec* spec = nullptr;
    RecipeOptions options;
    std::unique_ptr<Recipe> recipe;
    Decision decision;
    std::string kind;  // of its soup among NamedBlends()
  };

  PlanState(const JobSpec& spec, const PlanOptions& options, int speculation, const Ledger& ledger,
            PlanCache* cache);
  PlanState(const PlanState&) = delete;
  PlanState& operator=(const PlanState&) = delete;

  const JobSpec& spec() const { return spec_; }

  std::optional<Score> Find(const Blend& blend) const override { return Find(0, blend); }
  std::optional<LearnedCoefficients> FindLearned(const LearnSpec& learn,
                                                 const LearnEpoch& epoch) const override;
  std::optional<Trial> FindTrial(const Blend& blend, const Bar& bar) const override;
  // Null when not measured, or when the measure failed (see failure()).
  std::optional<Score> Find(int data_set, const Blend& blend) const;
  // At the job's batch size, or at half of it where that failed or ran out of memory. An ensemble
  // whose members are not all measured has no key yet.
  struct Measure {
    const std::string& key;
    bool known;                   // well or not
    std::optional<Score> score;   // when well
    absl::Status halved_because;  // OK: not halved
  };
  Measure Look(int data_set, const Blend& blend) const;
  // Only a measure on the held-out set has a bar; null: none.
  Task MeasureTaskFor(int data_set, const Blend& blend, const Bar* bar = nullptr) const;
  // The fact that a measure on the held-out set does not clear the bar; null when not known.
  const Fact* FindNotBetter(const Blend& blend, const Bar& bar) const;
  Task LearnTaskFor(const LearnSpec& learn, const LearnEpoch& epoch) const;
  // The fact of this epoch, well or not; null when not known.
  const Fact* FindEpoch(const LearnSpec& learn, const LearnEpoch& epoch) const;
  std::string NameOf(int ingredient) const {
    return ingredient == kBase ? "base" : spec_.ingredients[size_t(ingredient)].display_name;
  }
  std::vector<std::string> NamesOf(const Blend& blend) const;

  // For analyses. The measures of what `blend` is made of must be known.
  const Fact* FindFact(const std::string& key) const { return ledger_.Find(key); }
  const std::string* FindExamples(const std::string& key) const {
    return ledger_.FindExamples(key);
  }
  PlanCache& cache() const { return *cache_; }
  WeightsInputs WeightsOf(const Blend& blend) const;
  // No weights, no kept logits.
  MeasureInputs ContextOf(int data_set) const;
  std::vector<InputBindingSpec> ResolvedBindings() const;
  // One for weights, one for each member of an ensemble.
  std::vector<KeptLogitsReference> KeptLogitsOf(int data_set, const Blend& blend) const;
  CheckpointReference ReferenceOf(int ingredient) const;
  TensorSelectionReference Selection() const;

  // Every inspection is known, good or bad.
  bool inspected() const { return missing_inspections_.empty(); }
  // While ingredients are still inspected: which of those that are known already the recipe ranks
  // for certain, but for a bad ingredient among the rest. Empty where what is to come may change
  // how they are measured.
  std::vector<Blend> EarlyMeasures() const;
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
  // Names of the tensors that per-tensor coefficients are of, in their order.
  std::vector<std::string> AveragedTensors() const;
  // Null where there is no base, or it is not inspected.
  const CheckpointFound* base() const { return base_; }
  // Null while not inspected.
  const DataSetFound* data_set(int index) const { return data_sets_[size_t(index)]; }
  // The job's recipe, then its comparisons. Empty until inspected() and at least one ingredient is
  // usable.
  const std::vector<Run>& runs() const { return runs_; }
  // Null while there are no runs.
  const Recipe* recipe() const { return runs_.empty() ? nullptr : runs_[0].recipe.get(); }
  const Decision& decision() const { return runs_[0].decision; }
  bool all_done() const;
  // Why the recipe ended early: "" when it did not.
  std::string StoppedBecause() const;
  // The end of the budget of workers' time, while it is open; else its key is empty.
  Task EndBudget() const;

  // The blends of the report's headline, as far as the recipes have decided them.
  std::vector<NamedBlend> NamedBlends() const;
  // A done run's soup as it is shipped; before WiSE-FT where `mixed` is false.
  Blend SoupOf(const Run& run, bool mixed = true) const;
  // The soups' names are those of NamedBlends(): by recipe, in the order of runs().
  std::string ChosenKind() const;
  // Every (data set, blend) the report needs beside what the recipes asked for, once the
  // ingredients are ranked.
  const std::vector<std::pair<int, Blend>>& ReportMeasures() const { return report_measures_; }
  // Once all recipes are done.
  const std::vector<AnalysisTask>& analysis_tasks() const { return analysis_tasks_; }
  // A done run's curve: for each of its coefficients.
  struct CurvePoint {
    double coefficient;
    Blend blend;
  };
  std::vector<CurvePoint> WiseFtCurve(const Run& run) const;
  // The mean of all usable ingredients, or of the best of each group; nothing while these are not
  // known.
  std::optional<Blend> UniformSoup() const;
  // What scores depend on, in words.
  std::string Numerics() const;
  // BatchNorm statistics are gathered anew: for every candidate, or at least for the soup.
  bool reestimates() const;

  // The write of the soup; only when the decision is done.
  const Task& WriteTask() const { return write_task_; }
  // The soup's files, once written; null before.
  const Fact* written() const;

 private:
  void Inspect();
  // The fact, or null after noting that the task is missing.
  const Fact* Need(const Task& task);
  void InspectOthers();
  absl::Status CheckBase() const;
  void Fail(const absl::Status& status) {
    if (failure_.ok()) failure_ = status;
  }
  Json ScoresForMetadata() const;
  void JudgeIngredients();
  absl::Status BadIngredients() const;
  // Notes why what was inspected cannot be used. Null then.
  template <typename Found>
  const Found* Accept(const absl::StatusOr<Found>& found, const std::string& context,
                      const std::string& field) {
    if (found.ok()) return &*found;
    FailAtField(found.status(), context, field);
    return nullptr;
  }
  void FailAtField(const absl::Status& status, const std::string& context,
                   const std::string& field);
  RecipeOptions OptionsOf(std::vector<int> ingredients, int speculation) const;
  void StartRuns(int speculation);
  void NameRuns();
  std::vector<std::pair<int, Blend>> FindReportMeasures();
  // The metric is one of the held-out set's classes.
  void CheckMetric();
  Task MakeWriteTask() const;
  void FindFailure();
  // Why the first of what `run` needs failed. False: something before it is not known.
  bool FindFailureOf(const Run& run);
  // Notes the failure of a measure. False: it is not known, or the failure is noted.
  bool Check(int data_set, const Blend& blend);
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
  bool KeepsLogits(const Blend& blend) const;
  // Some recipe of the job makes use of them.
  bool KeepsMargins() const;
  BarInputs BarFor(const Bar& bar) const;
  std::vector<std::string> VisitingOrderKeys(const Bar& bar) const;
  bool MembersAreKnown(int data_set, const Blend& ensemble) const;
  EnsembleInputs EnsembleFor(int data_set, const Blend& ensemble) const;
  LearnInputs LearnInputsFor(const LearnSpec& learn, const LearnEpoch& epoch) const;
  std::string EpochKey(const LearnSpec& learn, const LearnEpoch& epoch) const;
  int64_t Budget() const;

  const JobSpec& spec_;
  const PlanOptions& options_;
  const Ledger& ledger_;
  PlanCache* const cache_;
  const bool keeps_logits_;
  const std::string no_key_;

  std::vector<const Task*> missing_inspections_;
  size_t inspections_done_ = 0;
  size_t ingredients_missing_ = 0;  // among missing_inspections_
  absl::Status failure_;
  ArchitectureFound architecture_;
  std::vector<const DataSetFound*> data_sets_;
  std::vector<const ClassifierFound*> classifiers_;  // null: none
  const CheckpointFound* base_ = nullptr;
  const DataSetFound* batch_norm_set_ = nullptr;
  size_t ingredients_told_ = 0;
  std::vector<absl::Status> problems_;
  std::vector<int> usable_;
  std::vector<Run> runs_;
  std::vector<std::pair<int, Blend>> report_measures_;
  size_t first_of_analyses_ = 0;  // of report_measures_: those that only analyses want follow
  std::vector<AnalysisTask> analysis_tasks_;  // they refer to this state
  Task write_task_;
};

// Scores for the report: counts, sums and the rates derived from them that the problem has.
Json ScoreJson(const Score& score, Problem problem);
Json StepJson(const RecipeStep& step, const std::string& candidate, Problem problem);
// Of the blend's ingredients; with per-tensor coefficients their means.
std::vector<double> MeanCoefficients(const Blend& blend);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PLAN_STATE_H_
