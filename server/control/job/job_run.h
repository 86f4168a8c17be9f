// One unfinished job in memory: its plan, the facts it has, what it has told.
// Thread safety: thread-compatible (the engine's lock).
#ifndef STOCKPOT_SERVER_CONTROL_JOB_JOB_RUN_H_
#define STOCKPOT_SERVER_CONTROL_JOB_JOB_RUN_H_

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/statusor.h"
#include "server/control/job/store.h"
#include "server/recipe/plan.h"

namespace stockpot {

// The facts one job has seen.
class FactLedger final : public Ledger {
 public:
  const Fact* Find(const std::string& key) const override {
    auto found = facts_.find(key);
    return found == facts_.end() ? nullptr : &found->second;
  }
  const std::string* FindExamples(const std::string& key) const override {
    auto found = examples_.find(key);
    return found == examples_.end() ? nullptr : &found->second;
  }
  void Add(const Fact& fact) { facts_.emplace(fact.key, fact); }
  void AddExamples(const std::string& key, std::string examples) {
    examples_.emplace(key, std::move(examples));
  }
  const std::unordered_map<std::string, Fact>& facts() const { return facts_; }

 private:
  std::unordered_map<std::string, Fact> facts_;
  std::unordered_map<std::string, std::string> examples_;  // of few: those a report compares
};

class JobRun {
 public:
  struct Options {
    std::string artifact_folder;  // this job's own
    std::string software;
    SpecLimits spec_limits;
  };
  // Reads the spec and what was told before. INVALID_ARGUMENT or FAILED_PRECONDITION when this
  // binary cannot go on with the job; other codes are the store's.
  static absl::StatusOr<std::unique_ptr<JobRun>> Load(const JobRecord& job, const Options& options,
                                                      Store* store);

  // While patterns of the spec are looked for, its ingredients are these patterns.
  const Plan& plan() const { return *plan_; }
  const FactLedger& ledger() const { return ledger_; }
  const PlanDecision& decision() const { return decision_; }
  // The decision may not be of all that is known.
  bool stale() const { return stale_; }
  // Nothing that the plan found was told yet, by whatever process.
  bool is_new() const { return !has_told_; }
  void MarkStale() { stale_ = true; }

  // Asks the plan, and the store for what it wants: once. stale() says whether to do it again.
  absl::Status Step(int workers, Store* store);

  // How many facts the store had of what was looked for, since this was asked last.
  int64_t TakeFactsFound() { return std::exchange(facts_found_, 0); }

  // Reads what the report of a finished job needs beside facts.
  absl::Status ReadExamples(Store* store);

  // A fact was found while this process runs; taken when this job has looked for it.
  void Offer(const Fact& fact);
  bool Wants(const std::string& key) const { return wanted_.contains(key); }

  // Events for the milestones of the last decision, and that they were stored.
  std::vector<NewEvent> NewEvents(absl::Time now) const;
  void MarkTold();

  // Attempts that ended without a result: of one task, and of all.
  int LossesOf(const std::string& key) const;
  int64_t losses() const { return all_losses_; }
  void CountLoss(const std::string& key);

  // Workers' time for facts of this job.
  double worker_seconds() const { return worker_seconds_; }
  // Mean seconds per example of what was measured for this job; 0 when not known.
  double SecondsPerExample() const;
  // JSON mapping of stockpot.v1.ReportCost.
  Json Cost(absl::Time now) const;

 private:
  JobRun(std::string job, absl::Time create_time)
      : job_(std::move(job)), create_time_(create_time) {}
  absl::Status ReadWhatWasTold(Store* store);
  // Asks for what the patterns match. True: it is known, and the plan is made of it.
  absl::StatusOr<bool> LookForIngredients(Store* store);
  void Decide(PlanDecision decision);
  absl::Status LookFor(const std::vector<std::string>& keys, Store* store);

  const std::string job_;
  const absl::Time create_time_;
  Json spec_;  // as it was given
  SpecLimits spec_limits_;
  PlanOptions plan_options_;
  std::unique_ptr<Plan> plan_;
  std::vector<Task> patterns_;  // to be looked for before the plan begins; none: it has begun
  FactLedger ledger_;
  absl::flat_hash_set<std::string> told_;
  bool has_told_ = false;                        // milestones
  absl::flat_hash_set<std::string> looked_for_;  // in the store
  absl::flat_hash_set<std::string> wanted_;      // keys of decision_.wanted
  int64_t facts_found_ = 0;
  std::map<std::string, int> losses_;
  int64_t all_losses_ = 0;
  double worker_seconds_ = 0;
  double measured_seconds_ = 0;
  int64_t measured_examples_ = 0;
  PlanDecision decision_;
  bool stale_ = true;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_JOB_RUN_H_
