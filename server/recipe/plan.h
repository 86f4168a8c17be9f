// A job's whole course as a pure function of what is known: inspect the sources, follow the recipe
// on the held-out set, measure the report sets, write the soup. The same ledger gives the same
// decision, so a crash, the number of workers and the order of arrival cannot change a result.
//
// Source: DESIGN.md section 1.
// Thread safety: thread-compatible (keeps what it has read of facts).
#ifndef STOCKPOT_SERVER_RECIPE_PLAN_H_
#define STOCKPOT_SERVER_RECIPE_PLAN_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "server/recipe/recipe.h"
#include "server/recipe/task.h"

namespace stockpot {

// Something a watcher is told once. Milestones of one ledger are among those of any larger one.
struct Milestone {
  std::string key;   // unique within the job
  Json body;         // JSON mapping of stockpot.v1.JobEvent: its one event member
  std::string fact;  // the key of the fact it tells of, where it tells of one
};

struct PlanDecision {
  // Not known yet, most urgent first, each key once. Those after `required` may turn out not to
  // matter, or can wait.
  std::vector<Task> wanted;
  size_t required = 0;
  bool truncated = false;  // more than NextOptions lets be wanted

  std::vector<Milestone> milestones;  // in an order fit for telling

  bool finished = false;
  absl::Status failure;            // of a finished job; OK when it succeeded
  Json artifacts = Json::array();  // JSON mapping of repeated stockpot.v1.ArtifactFile
  Json write_soup;  // once the soup is written: worker.v1.WriteSoup without its folder

  // While a budget of workers' time is open: the task that ends it, and after how many passes over
  // the held-out set it would end now. The key is empty where there is none.
  Task end_budget;
  int64_t evaluations = 0;

  // For progress only.
  int64_t tasks_done = 0, tasks_total = 0;
  int64_t examples_done = 0, examples_total = 0;
  std::string activity;
};

class PlanCache;  // internal: plan_cache.h

struct PlanOptions {
  std::string job;              // for the soup's metadata
  std::string scope;            // makes inspections and artifacts this job's own; never used twice
  std::string artifact_folder;  // where the soup goes
  std::string software;         // for provenance
};

struct NextOptions {
  int speculation = 1;  // used where the spec leaves it open; cannot change a result
  // Keys of milestones that need not be told again; null: none.
  const absl::flat_hash_set<std::string>* told = nullptr;
  size_t max_wanted = 256;
  // The same once all is inspected: these tasks are made anew for each decision. At least as many
  // as workers.
  size_t max_measures = 32;
};

class Plan {
 public:
  Plan(JobSpec spec, PlanOptions options);
  ~Plan();

  const JobSpec& spec() const { return spec_; }
  // "greedy/1, learned/1": of the recipe, then of the comparisons, each once.
  std::string recipe_version() const;

  // Over one plan's life a key stands for one fact: a ledger may grow or shrink, never disagree.
  PlanDecision Next(const Ledger& ledger, const NextOptions& options = {}) const;

  // JSON mapping of stockpot.v1.ReportResult: whole when Next() says finished, else what is known.
  Json ReportResult(const Ledger& ledger) const;
  // Keys of the measures whose examples the report compares (Ledger::FindExamples); without them it
  // has no gains.
  std::vector<std::string> ExamplesForReport(const Ledger& ledger) const;

 private:
  const JobSpec spec_;
  const PlanOptions options_;
  const std::unique_ptr<PlanCache> cache_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_RECIPE_PLAN_H_
