// Workers: connecting, hearing from them, losing them.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"

namespace stockpot {
namespace {

// Watchers hear of progress about four times a second.
constexpr absl::Duration kProgressInterval = absl::Milliseconds(250);

absl::Status Crashed(const std::string& message) {
  return WithReason(absl::InternalError(message), "WORKER_CRASHED");
}

// What a worker that leaves answers for a task that it has not done.
bool IsHandedBack(const Fact& fact) {
  return !fact.status.ok() && GetErrorFacts(fact.status).reason == "HANDED_BACK";
}

absl::Status TaskTimeout(const std::string& message) {
  return WithReason(absl::DeadlineExceededError(message), "TASK_TIMEOUT");
}

}  // namespace

absl::Status EngineImpl::WorkerConnected(const WorkerInfo& info, WorkerLink* link) {
  absl::MutexLock hold(&mutex_);
  if (draining_) return ServerStopping();
  if (workers_.count(info.id) > 0) {
    return absl::AlreadyExistsError(absl::StrCat("a worker '", info.id, "' is connected already"));
  }
  Worker& worker = workers_[info.id];
  worker.info = info;
  worker.link = std::make_shared<LinkHolder>();
  {
    absl::MutexLock hold_link(&worker.link->mutex);
    worker.link->link = link;
  }
  worker.last_heard = clock_->Now();
  log_->Info("worker_connected", {{"worker", info.id},
                                  {"device", info.device_name},
                                  {"place", info.is_remote ? "remote" : "local"}});
  MarkAllStale();  // they may speculate more
  Wake();
  return absl::OkStatus();
}

void EngineImpl::WorkerProgress(const std::string& worker_id, const std::string& assignment_id,
                                int64_t examples_done) {
  absl::MutexLock hold(&mutex_);
  auto worker = workers_.find(worker_id);
  if (worker == workers_.end()) return;
  worker->second.last_heard = clock_->Now();
  auto attempt = attempts_.find(assignment_id);
  if (attempt == attempts_.end() || attempt->second.worker != worker_id) return;
  if (examples_done > attempt->second.examples_done) attempt->second.last_progress = clock_->Now();
  attempt->second.examples_done = examples_done;
  for (auto& [name, job] : jobs_) {
    if (job.run != nullptr && job.run->Wants(attempt->second.task.key)) job.progressed = true;
  }
}

void EngineImpl::WorkerResult(const std::string& worker_id, const std::string& assignment_id,
                              Fact fact) {
  absl::MutexLock hold(&mutex_);
  auto worker = workers_.find(worker_id);
  if (worker == workers_.end()) return;
  worker->second.last_heard = clock_->Now();
  auto attempt = attempts_.find(assignment_id);
  if (worker->second.assignment != assignment_id || attempt == attempts_.end() ||
      attempt->second.ended()) {
    log_->Warning("stale_result_ignored", {{"worker", worker_id}, {"assignment", assignment_id}});
    return;
  }
  worker->second.assignment.clear();
  if (worker->second.leaving && IsHandedBack(fact)) {
    attempt->second.lost = absl::UnavailableError("its worker was stopped: try again");
    attempt->second.handed_back = true;
  } else {
    attempt->second.fact = std::move(fact);
  }
  if (worker->second.leaving) {
    Post(worker->second.link, [](WorkerLink* link) { link->Shutdown(); });
  }
  Wake();
}

void EngineImpl::WorkerLeaving(const std::string& worker_id) {
  absl::MutexLock hold(&mutex_);
  auto worker = workers_.find(worker_id);
  if (worker == workers_.end() || worker->second.leaving) return;
  worker->second.leaving = true;
  log_->Info("worker_leaving", {{"worker", worker_id}});
  if (!worker->second.assignment.empty()) return;
  Post(worker->second.link, [](WorkerLink* link) { link->Shutdown(); });
}

void EngineImpl::WorkerLost(const std::string& worker_id) {
  std::shared_ptr<LinkHolder> link;
  {
    absl::MutexLock hold(&mutex_);
    auto found = workers_.find(worker_id);
    if (found == workers_.end()) return;
    link = found->second.link;
    Lose(&found->second, Crashed(found->second.info.is_remote
                                     ? "the worker died, or its connection ended, while it ran this"
                                     : "the worker died while it ran this"));
    workers_.erase(found);
    log_->Info("worker_lost", {{"worker", worker_id}});
    MarkAllStale();
    Wake();
  }
  // Outside mutex_: a call that is being made may be waiting for it.
  absl::MutexLock hold(&link->mutex);
  link->link = nullptr;
}

void EngineImpl::Lose(Worker* worker, const absl::Status& why) {
  auto attempt = attempts_.find(worker->assignment);
  worker->assignment.clear();
  if (attempt != attempts_.end() && !attempt->second.ended()) attempt->second.lost = why;
}

std::vector<Engine::WorkerView> EngineImpl::Workers() {
  absl::MutexLock hold(&mutex_);
  std::vector<WorkerView> views;
  for (const auto& [id, worker] : workers_) {
    views.push_back({worker.info, !worker.assignment.empty()});
  }
  return views;
}

absl::Status EngineImpl::CheckInspections(const std::string& client) {
  if (draining_) return ServerStopping();
  int64_t all = 1, of_client = 1;  // with the new one
  for (const LooseTask& waiting : loose_tasks_) {
    if (!waiting.job.empty()) continue;
    ++all;
    of_client += waiting.client == client ? 1 : 0;
  }
  const EngineLimits& limits = options_.limits;
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_INSPECTIONS", all, limits.max_waiting_inspections,
                            "inspections that wait for a worker of this server"));
  return CheckRoom("TOO_MANY_INSPECTIONS", of_client, limits.max_waiting_inspections_of_client,
                   "inspections of one client that wait for a worker");
}

void EngineImpl::RunTask(const Task& task, const std::string& client,
                         std::function<void(const Fact&)> done) {
  Fact refusal;
  refusal.key = task.key;
  {
    absl::MutexLock hold(&mutex_);
    refusal.status = CheckInspections(client);
    if (refusal.status.ok()) {
      loose_tasks_.push_back({task, std::move(done), client});
      Wake();
      return;
    }
  }
  done(refusal);
}

absl::Status EngineImpl::Lateness(const Attempt& attempt, absl::Time now) {
  if (now - attempt.last_progress > attempt.timeout) {
    return TaskTimeout(
        absl::StrCat("no progress for ", absl::FormatDuration(attempt.timeout), " (task_timeout)"));
  }
  if (now - attempt.started <= attempt.max_time) return absl::OkStatus();
  return TaskTimeout(
      absl::StrCat("not done after ", absl::FormatDuration(attempt.max_time), " (max_task_time)"));
}

void EngineImpl::CheckLeases() {
  const absl::Time now = clock_->Now();
  for (auto& [id, worker] : workers_) {
    if (now >= worker.end_at) {
      worker.end_at = absl::InfiniteFuture();
      log_->Warning(worker.info.is_remote ? "worker_dropped" : "worker_killed", {{"worker", id}});
      if (options_.end_worker) outbox_.push_back([this, id = id] { options_.end_worker(id); });
      Post(worker.link, [](WorkerLink* link) { link->Drop(); });
    }
    if (worker.assignment.empty()) continue;
    if (now - worker.last_heard > options_.lease) {
      GiveUp(&worker, Crashed(absl::StrCat("the worker was silent for ",
                                           absl::FormatDuration(options_.lease))));
      continue;
    }
    auto attempt = attempts_.find(worker.assignment);
    if (attempt == attempts_.end()) continue;
    const absl::Status late = Lateness(attempt->second, now);
    if (!late.ok()) {
      GiveUp(&worker, late);
      continue;
    }
    if (attempt->second.done != nullptr) continue;
    // A third of the lease has passed since it was last made.
    if (attempt->second.lease_until - now > options_.lease * 2 / 3) continue;
    const absl::Time lease_until = worker.last_heard + options_.lease;
    if (lease_until <= attempt->second.lease_until) continue;
    const absl::Status status =
        store_->RenewLease(attempt->second.task.key, attempt->second.claim.fence, lease_until);
    if (status.ok()) attempt->second.lease_until = lease_until;
  }
}

void EngineImpl::GiveUp(Worker* worker, const absl::Status& why) {
  log_->Warning("worker_hung",
                {{"worker", worker->info.id}, {"because", std::string(why.message())}});
  worker->hung = true;
  worker->end_at = clock_->Now() + options_.lease;
  Post(worker->link, [](WorkerLink* link) { link->Shutdown(); });
  Lose(worker, why);
}

void EngineImpl::TellProgress() {
  const absl::Time now = clock_->Now();
  for (auto& [name, job] : jobs_) {
    if (!job.progressed || now - job.progress_told < kProgressInterval) continue;
    job.progressed = false;
    job.progress_told = now;
    to_notify_.insert(name);
  }
}

void EngineImpl::ReportCounts() {
  EngineObserver::UnfinishedJobs jobs;
  const absl::Time now = clock_->Now();
  for (const auto& [name, job] : jobs_) {
    const JobState state = job.record.state;
    ++(state == JobState::kQueued      ? jobs.queued
       : state == JobState::kSuspended ? jobs.suspended
                                       : jobs.running);
    if (state != JobState::kQueued) continue;
    jobs.oldest_queued = std::max(jobs.oldest_queued, now - job.record.create_time);
  }
  EngineObserver::WorkerCounts local, remote;
  for (const auto& [id, worker] : workers_) {
    EngineObserver::WorkerCounts& counts = worker.info.is_remote ? remote : local;
    ++counts.connected;
    counts.busy += worker.assignment.empty() ? 0 : 1;
  }
  observer_->JobCounts(jobs);
  observer_->WorkerCount(local, remote);
}

void EngineImpl::Cancel(const std::string& assignment_id, Attempt* attempt) {
  attempt->cancelled = true;
  auto worker = workers_.find(attempt->worker);
  if (worker == workers_.end()) return;
  Post(worker->second.link, [id = assignment_id](WorkerLink* link) { link->Cancel(id); });
}

void EngineImpl::Post(const std::shared_ptr<LinkHolder>& link,
                      std::function<void(WorkerLink*)> call) {
  outbox_.push_back([link, call = std::move(call)] {
    absl::MutexLock hold(&link->mutex);
    if (link->link != nullptr) call(link->link);
  });
  Wake();
}

int EngineImpl::WorkerCount() const {
  return static_cast<int>(std::count_if(workers_.begin(), workers_.end(), [](const auto& entry) {
    return entry.second.info.has_device();
  }));
}

bool EngineImpl::HasReaders() const {
  return std::any_of(workers_.begin(), workers_.end(), [](const auto& entry) {
    const Worker& worker = entry.second;
    return !worker.info.has_device() && !worker.hung && !worker.leaving;
  });
}

void EngineImpl::MarkAllStale() {
  for (auto& [name, job] : jobs_) {
    if (job.run != nullptr) job.run->MarkStale();
  }
}

}  // namespace stockpot
