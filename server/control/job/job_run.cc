#include "server/control/job/job_run.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/job/events.h"
#include "server/recipe/ingredient_patterns.h"

namespace stockpot {
namespace {

constexpr int kEventsPerRead = 1000;
constexpr char kSpecPath[] = "spec";

// Jobs were once stored with the version of the recipe alone, without the comparisons'.
bool Follows(const std::string& version, const std::string& stored) {
  return version == stored || absl::StartsWith(version, stored + ", ");
}

}  // namespace

absl::StatusOr<std::unique_ptr<JobRun>> JobRun::Load(const JobRecord& job, const Options& options,
                                                     Store* store) {
  auto run = std::unique_ptr<JobRun>(new JobRun(job.name, job.create_time));
  ASSIGN_OR_RETURN(run->spec_, ParseJson(job.spec));
  ASSIGN_OR_RETURN(JobSpec spec, ParseJobSpec(run->spec_, kSpecPath, options.spec_limits));
  PlanOptions& plan_options = run->plan_options_;
  plan_options.job = job.name;
  // A deleted job's name may be used again.
  plan_options.scope = absl::StrCat(job.name, "@", absl::ToUnixMicros(job.create_time));
  plan_options.artifact_folder = options.artifact_folder;
  plan_options.software = options.software;
  run->spec_limits_ = options.spec_limits;
  run->patterns_ = PatternTasks(spec, plan_options.scope, options.spec_limits);
  run->plan_ = std::make_unique<Plan>(std::move(spec), plan_options);
  if (const std::string version = run->plan_->recipe_version();
      !Follows(version, job.recipe_version)) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("the job follows recipe ", job.recipe_version,
                                       "; this server has ", version, ": create it again")),
                      "RECIPE_CHANGED");
  }
  RETURN_IF_ERROR(run->ReadWhatWasTold(store));
  return run;
}

absl::Status JobRun::ReadWhatWasTold(Store* store) {
  std::vector<std::string> measured;
  int64_t after = 0;
  while (true) {
    ASSIGN_OR_RETURN(const std::vector<EventRecord> events,
                     store->ReadEvents(job_, after, kEventsPerRead));
    if (events.empty()) break;
    after = events.back().sequence;
    for (const EventRecord& event : events) {
      told_.insert(event.key);
      if (IsRequeued(event.key)) losses_.clear();
      has_told_ |= IsMilestone(event.key);
      if (auto task = LostTaskOf(event.key)) CountLoss(*task);
      if (auto fact = MeasuredFactOf(event.key)) measured.push_back(*std::move(fact));
    }
  }
  // All at once: the plan would ask for them one after the other.
  return LookFor(measured, store);
}

absl::Status JobRun::LookFor(const std::vector<std::string>& keys, Store* store) {
  std::vector<std::string> unasked;
  for (const std::string& key : keys) {
    if (!looked_for_.contains(key)) unasked.push_back(key);
  }
  if (unasked.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<Fact> facts, store->FindFacts(job_, unasked));
  looked_for_.insert(unasked.begin(), unasked.end());
  facts_found_ += static_cast<int64_t>(facts.size());
  for (const Fact& fact : facts) Offer(fact);
  return absl::OkStatus();
}

absl::StatusOr<bool> JobRun::LookForIngredients(Store* store) {
  std::vector<std::string> keys;
  for (const Task& task : patterns_) keys.push_back(task.key);
  RETURN_IF_ERROR(LookFor(keys, store));
  PlanDecision decision;
  decision.activity = "looking for the ingredients";
  decision.tasks_total = static_cast<int64_t>(patterns_.size());
  std::vector<const Fact*> facts;
  for (const Task& task : patterns_) {
    facts.push_back(ledger_.Find(task.key));
    if (facts.back() == nullptr) decision.wanted.push_back(task);
  }
  decision.required = decision.wanted.size();
  decision.tasks_done = decision.tasks_total - static_cast<int64_t>(decision.required);
  if (decision.wanted.empty()) {
    absl::StatusOr<JobSpec> spec = ExpandPatterns(spec_, facts, kSpecPath, spec_limits_);
    if (spec.ok()) {
      plan_ = std::make_unique<Plan>(*std::move(spec), plan_options_);
      patterns_.clear();
      return true;
    }
    decision.finished = true;
    decision.failure = spec.status();
  }
  Decide(std::move(decision));
  return false;
}

void JobRun::Decide(PlanDecision decision) {
  decision_ = std::move(decision);
  stale_ = false;
  wanted_.clear();
  for (const Task& task : decision_.wanted) wanted_.insert(task.key);
}

absl::Status JobRun::Step(int workers, Store* store) {
  if (!patterns_.empty()) {
    ASSIGN_OR_RETURN(const bool are_known, LookForIngredients(store));
    if (!are_known) return absl::OkStatus();
  }
  NextOptions options;
  options.speculation = std::max(1, workers);
  options.told = &told_;
  for (size_t* const most : {&options.max_wanted, &options.max_measures}) {
    *most = std::max<size_t>(*most, 4 * static_cast<size_t>(workers));
  }
  Decide(plan_->Next(ledger_, options));
  std::vector<std::string> keys(wanted_.begin(), wanted_.end());
  // What did not clear a bar is known under another key.
  for (const Task& task : decision_.wanted) {
    if (!task.not_better_key.empty()) keys.push_back(task.not_better_key);
  }
  if (!decision_.end_budget.key.empty()) keys.push_back(decision_.end_budget.key);
  absl::Status status = LookFor(keys, store);
  if (!status.ok()) stale_ = true;
  return status;
}

absl::Status JobRun::ReadExamples(Store* store) {
  for (const std::string& key : plan_->ExamplesForReport(ledger_)) {
    if (ledger_.FindExamples(key) != nullptr) continue;
    ASSIGN_OR_RETURN(std::string examples, store->ReadExamples(key));
    ledger_.AddExamples(key, std::move(examples));
  }
  return absl::OkStatus();
}

void JobRun::Offer(const Fact& fact) {
  if (!looked_for_.contains(fact.key) || ledger_.Find(fact.key) != nullptr) return;
  ledger_.Add(fact);
  stale_ = true;
  if (fact.job != job_) return;
  worker_seconds_ += fact.seconds;
  const absl::StatusOr<MeasureCost> cost = ReadMeasureCost(fact);
  if (!cost.ok()) return;
  measured_seconds_ += fact.seconds;
  measured_examples_ += cost->examples_evaluated;
}

std::vector<NewEvent> JobRun::NewEvents(absl::Time now) const {
  std::vector<NewEvent> events;
  for (const Milestone& milestone : decision_.milestones) {
    const Fact* fact = milestone.fact.empty() ? nullptr : ledger_.Find(milestone.fact);
    events.push_back(MilestoneEvent(milestone, fact != nullptr && fact->job != job_, now));
  }
  return events;
}

void JobRun::MarkTold() {
  for (const Milestone& milestone : decision_.milestones) told_.insert(milestone.key);
  has_told_ |= !decision_.milestones.empty();
  decision_.milestones.clear();
}

int JobRun::LossesOf(const std::string& key) const {
  auto found = losses_.find(key);
  return found == losses_.end() ? 0 : found->second;
}

void JobRun::CountLoss(const std::string& key) {
  ++losses_[key];
  ++all_losses_;
}

double JobRun::SecondsPerExample() const {
  return measured_examples_ == 0 ? 0 : measured_seconds_ / static_cast<double>(measured_examples_);
}

Json JobRun::Cost(absl::Time now) const {
  int64_t run = 0, reused = 0, examples_reused = 0, stopped = 0, spared = 0;
  double seconds_reused = 0;
  for (const auto& [key, fact] : ledger_.facts()) {
    const absl::StatusOr<MeasureCost> cost = ReadMeasureCost(fact);
    if (!cost.ok()) continue;
    if (fact.job == job_) {
      ++run;
      stopped += cost->examples_spared > 0 ? 1 : 0;
      spared += cost->examples_spared;
    } else {
      ++reused;
      examples_reused += cost->examples_evaluated;
      seconds_reused += fact.seconds;
    }
  }
  return {{"evaluations_run", run},
          {"evaluations_reused", reused},
          {"examples_evaluated", measured_examples_},
          {"examples_reused", examples_reused},
          {"worker_seconds", worker_seconds_},
          {"worker_seconds_reused", seconds_reused},
          {"wall_seconds", absl::ToDoubleSeconds(now - create_time_)},
          {"failed_attempts", all_losses_},
          {"evaluations_stopped_early", stopped},
          {"examples_spared", spared}};
}

}  // namespace stockpot
