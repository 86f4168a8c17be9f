// Idle workers: whose task is next, and giving it.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"

namespace stockpot {
namespace {

// How long a task that another process runs is left alone.
constexpr absl::Duration kClaimedElsewhereDelay = absl::Seconds(1);

}  // namespace

void EngineImpl::AssignTasks() {
  for (auto& [id, worker] : workers_) {
    while (worker.assignment.empty() && !worker.hung && store_retry_at_ == absl::InfinitePast() &&
           AssignTo(&worker)) {
    }
  }
}

// True: something was done; the worker may still be idle.
bool EngineImpl::AssignTo(Worker* worker) {
  if (AssignFromJobs(worker)) return true;
  // A job that has not been asked what it wants may still want this worker.
  const bool undecided = std::any_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    return entry.second.run != nullptr && entry.second.run->stale();
  });
  if (loose_tasks_.empty() || undecided) return false;
  Attempt attempt;
  attempt.task = std::move(loose_tasks_.front().task);
  attempt.done = std::move(loose_tasks_.front().done);
  loose_tasks_.pop_front();
  Give(worker, absl::StrCat("loose/", ++last_loose_), std::move(attempt));
  return true;
}

// Priority; within one priority first what is needed, then what may turn out not to matter; then
// the client with the fewest running tasks; then age.
bool EngineImpl::AssignFromJobs(Worker* worker) {
  const std::vector<std::string> order = JobsInClaimOrder();
  for (size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const int priority = jobs_.at(order[begin]).record.priority;
    for (bool required : {true, false}) {
      for (end = begin; end < order.size(); ++end) {
        Job& job = jobs_.at(order[end]);
        if (job.record.priority != priority) break;
        if (job.run == nullptr) {
          Advance(order[end]);
          return store_retry_at_ == absl::InfinitePast();  // the order may have changed
        }
        if (job.run->stale() || job.record.state == JobState::kSuspended) continue;
        const Task* task = NextTask(job, *worker, required);
        if (task != nullptr) return Claim(&job, *task, worker);
      }
    }
  }
  return false;
}

std::vector<std::string> EngineImpl::JobsInClaimOrder() const {
  std::map<std::string, int> running;
  for (const auto& [id, attempt] : attempts_) {
    auto job = jobs_.find(attempt.job);
    if (job != jobs_.end()) ++running[job->second.record.client];
  }
  using Rank = std::tuple<int, int, absl::Time, std::string>;
  std::vector<Rank> ranks;
  for (const auto& [name, job] : jobs_) {
    ranks.emplace_back(-job.record.priority, running[job.record.client], job.record.create_time,
                       name);
  }
  std::sort(ranks.begin(), ranks.end());
  std::vector<std::string> names;
  for (Rank& rank : ranks) names.push_back(std::move(std::get<3>(rank)));
  return names;
}

const Task* EngineImpl::NextTask(const Job& job, const Worker& worker, bool required) const {
  const PlanDecision& decision = job.run->decision();
  const size_t begin = required ? 0 : decision.required;
  const size_t end = required ? decision.required : decision.wanted.size();
  for (size_t i = begin; i < end; ++i) {
    const Task& task = decision.wanted[i];
    if (running_.count(task.key) > 0) continue;
    if (!task.numerics.empty() && task.numerics != worker.info.numerics) continue;
    auto elsewhere = claimed_elsewhere_.find(task.key);
    if (elsewhere != claimed_elsewhere_.end() && clock_->Now() < elsewhere->second) continue;
    return &task;
  }
  return nullptr;
}

bool EngineImpl::Claim(Job* job, const Task& task, Worker* worker) {
  if (task.kind() == "write_soup") {
    if (!StoreWorks(MakeFolders(ArtifactFolder(job->record)), job)) return false;
  }
  if (job->record.state == JobState::kQueued &&
      !StoreWorks(SetState(job, JobState::kRunning, ""), job)) {
    return false;
  }
  const absl::Time now = clock_->Now();
  const absl::Time lease_until = now + options_.lease;
  absl::StatusOr<TaskClaim> claim =
      store_->ClaimTask(job->record.name, task, owner_, now, lease_until);
  if (absl::IsAborted(claim.status())) {
    claimed_elsewhere_[task.key] = now + kClaimedElsewhereDelay;
    return true;
  }
  if (!StoreWorks(claim.status(), job)) return false;
  claimed_elsewhere_.erase(task.key);
  Attempt attempt;
  attempt.task = task;
  attempt.job = job->record.name;
  attempt.claim = *claim;
  attempt.lease_until = lease_until;
  const std::string id = absl::StrCat(task.key, "/", claim->fence);
  if (claim->attempt > options_.max_claims) {
    // Nobody saw it fail, and it never ended: whatever it is, it takes its servers with it.
    Fact fact;
    fact.status = WithReason(
        absl::InternalError(absl::StrCat(task.description, ": begun ", claim->attempt - 1,
                                         " times without ever ending")),
        "WORKER_CRASHED");
    attempt.fact = std::move(fact);
    running_[task.key] = id;
    attempts_.emplace(id, std::move(attempt));
    Wake();
    return true;
  }
  Give(worker, id, std::move(attempt));
  return true;
}

void EngineImpl::Give(Worker* worker, std::string assignment_id, Attempt attempt) {
  const absl::Time now = clock_->Now();
  attempt.worker = worker->info.id;
  attempt.started = now;
  worker->assignment = assignment_id;
  worker->last_heard = now;
  log_->Debug("task_given", {{"task", attempt.task.description},
                             {"assignment", assignment_id},
                             {"worker", worker->info.id}});
  Post(worker->link, [assignment = Assignment{assignment_id, attempt.task}](WorkerLink* link) {
    link->Assign(assignment);
  });
  if (attempt.done == nullptr) running_[attempt.task.key] = assignment_id;
  attempts_.emplace(std::move(assignment_id), std::move(attempt));
}

}  // namespace stockpot
