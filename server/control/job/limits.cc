// What ends by itself: jobs at their deadline, budgets of workers' time, what retention lets go.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"

namespace stockpot {
namespace {

// Jobs that one look deletes at most: other work waits meanwhile.
constexpr int kMostDeletedAtOnce = 100;

absl::Status JobTimeout(const JobRecord& job) {
  return WithReason(absl::DeadlineExceededError(
                        absl::StrCat("limits.timeout ended at ", absl::FormatTime(*job.deadline),
                                     "; RetryJob goes on from what was measured")),
                    "JOB_TIMEOUT");
}

}  // namespace

void EngineImpl::CheckJobLimits() {
  std::vector<std::string> late, spent;
  for (const auto& [name, job] : jobs_) {
    if (job.record.deadline.has_value() && clock_->Now() >= *job.record.deadline) {
      late.push_back(name);
    } else if (job.run != nullptr && !job.run->stale() &&
               !job.run->decision().end_budget.key.empty() &&
               WorkerTime(job) >= job.run->plan().spec().max_worker_time) {
      spent.push_back(name);
    }
  }
  for (const std::string& name : late) {
    Job& job = jobs_.at(name);
    if (!EndJob(&job, JobState::kFailed, JobTimeout(job.record), Json::array())) return;
  }
  for (const std::string& name : spent) EndBudget(&jobs_.at(name));
}

absl::Duration EngineImpl::WorkerTime(const Job& job) const {
  absl::Duration time = absl::Seconds(job.run->worker_seconds());
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.job == job.record.name && !attempt.ended()) time += clock_->Now() - attempt.started;
  }
  return time;
}

// A fact like any other, so that the job ends there after a crash too.
void EngineImpl::EndBudget(Job* job) {
  const PlanDecision& decision = job->run->decision();
  const absl::Time now = clock_->Now();
  Fact fact;
  fact.key = decision.end_budget.key;
  fact.job = job->record.name;
  fact.result = EndBudgetResult(decision.evaluations);
  const absl::StatusOr<TaskClaim> claim =
      store_->ClaimTask(job->record.name, decision.end_budget, owner_, now, now + options_.lease);
  if (absl::IsAborted(claim.status()) || !StoreWorks(claim.status(), job)) return;
  if (!StoreWorks(store_->FinishTask(fact.key, claim->fence, fact, now), job)) return;
  log_->Info("budget_ended",
             {{"job", fact.job}, {"evaluations", absl::StrCat(decision.evaluations)}});
  job->run->Offer(fact);
  Wake();
}

void EngineImpl::ForgetTheOld() {
  const absl::Time now = clock_->Now();
  const Retention& retention = options_.retention;
  if (now < forget_at_ || store_retry_at_ != absl::InfinitePast()) return;
  forget_at_ = now + retention.check_every;
  absl::Status status = DeleteExpired();
  if (status.ok()) status = DeleteOverBound();
  // What could not be deleted now is looked at next time; no job waits for it.
  if (!status.ok()) {
    log_->Warning("retention_failed", {{"error", std::string(status.message())}});
  }
}

absl::Status EngineImpl::DeleteExpired() {
  const absl::Duration age = options_.retention.age;
  if (age == absl::InfiniteDuration()) return absl::OkStatus();
  const absl::Time before = clock_->Now() - age;
  ASSIGN_OR_RETURN(const auto expired, store_->ListEndedJobs(before, 0, kMostDeletedAtOnce));
  for (const JobRecord& job : expired) {
    RETURN_IF_ERROR(Delete(job));
    log_->Info("job_deleted", {{"job", job.name}, {"because", "retention by age"}});
  }
  return store_->ForgetMeasures(before).status();
}

absl::Status EngineImpl::DeleteOverBound() {
  const int64_t bound = options_.retention.artifact_bytes;
  if (bound == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto by_client, store_->ArtifactBytes());
  int64_t bytes = 0;
  for (const auto& [client, count] : by_client) bytes += count;
  if (bytes <= bound) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto ended,
                   store_->ListEndedJobs(absl::InfiniteFuture(), 1, kMostDeletedAtOnce));
  for (const JobRecord& job : ended) {
    if (bytes <= bound) return absl::OkStatus();
    RETURN_IF_ERROR(Delete(job));
    bytes -= job.artifact_bytes;
    log_->Info("job_deleted", {{"job", job.name}, {"because", "retention by bytes"}});
  }
  return absl::OkStatus();
}

}  // namespace stockpot
