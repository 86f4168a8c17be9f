// Idle workers: whose task is next, who does it, and giving it.
//
// A task goes to the idle worker that holds most of what it is made of, checkpoints and data sets:
// reading them may take longer than the task. What nobody holds goes to the first idle one. Where
// there are workers without a device, what needs none is theirs alone.
#include <algorithm>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/report_files.h"

namespace stockpot {
namespace {

// How long a task that another process runs is left alone.
constexpr absl::Duration kClaimedElsewhereDelay = absl::Seconds(1);
// Tasks, and pairs of a task and a worker, among which one is chosen whose content is held already:
// this is done with the lock held.
constexpr size_t kMostCompared = 32;
constexpr size_t kMostPairs = 512;
// About what a worker keeps (worker/session/sources.h).
constexpr size_t kMostHeld = 1024;

size_t MissingContent(const std::vector<std::string>& content,
                      const absl::flat_hash_set<std::string>& held) {
  return static_cast<size_t>(
      std::count_if(content.begin(), content.end(),
                    [&](const std::string& digest) { return !held.contains(digest); }));
}

// Reads or writes files, and runs no model.
bool NeedsNoDevice(const Task& task) {
  constexpr absl::string_view kKinds[] = {"inspect_checkpoint", "inspect_data_set",
                                          "inspect_classifier", "list_sources",
                                          "publish_artifacts"};
  return std::find(std::begin(kKinds), std::end(kKinds), task.kind()) != std::end(kKinds);
}

}  // namespace

bool EngineImpl::MayRun(const Worker& worker, const Task& task, bool has_readers) {
  if (NeedsNoDevice(task)) return !worker.info.has_device() || !has_readers;
  return worker.info.has_device() &&
         (task.numerics.empty() || task.numerics == worker.info.numerics);
}

EngineImpl::Worker* EngineImpl::FirstThatMayRun(const Task& task, const std::vector<Worker*>& idle,
                                                bool has_readers) {
  const auto found = std::find_if(idle.begin(), idle.end(), [&](const Worker* worker) {
    return MayRun(*worker, task, has_readers);
  });
  return found == idle.end() ? nullptr : *found;
}

void EngineImpl::AssignTasks() {
  while (store_retry_at_ == absl::InfinitePast()) {
    const std::vector<Worker*> idle = IdleWorkers();
    if (idle.empty() || !AssignOne(idle)) return;
  }
}

std::vector<EngineImpl::Worker*> EngineImpl::IdleWorkers() {
  std::vector<Worker*> idle;
  for (auto& [id, worker] : workers_) {
    if (worker.assignment.empty() && !worker.hung && !worker.leaving) idle.push_back(&worker);
  }
  return idle;
}

bool EngineImpl::AssignOne(const std::vector<Worker*>& idle) {
  // Somebody waits for an inspection: one of them goes before the jobs' tasks, the others after.
  const bool one_runs = std::any_of(attempts_.begin(), attempts_.end(),
                                    [](const auto& entry) { return entry.second.done != nullptr; });
  if (!one_runs && AssignLoose(idle)) return true;
  if (AssignFromJobs(idle)) return true;
  // A job that has not been asked what it wants may still want these workers.
  const bool undecided = std::any_of(jobs_.begin(), jobs_.end(), [](const auto& entry) {
    return entry.second.run != nullptr && entry.second.run->stale();
  });
  return !undecided && AssignLoose(idle);
}

bool EngineImpl::AssignLoose(const std::vector<Worker*>& idle) {
  const bool has_readers = HasReaders();
  for (auto loose = loose_tasks_.begin(); loose != loose_tasks_.end(); ++loose) {
    Worker* const worker = FirstThatMayRun(loose->task, idle, has_readers);
    if (worker == nullptr) continue;
    Attempt attempt;
    attempt.task = std::move(loose->task);
    attempt.done = std::move(loose->done);
    attempt.job = std::move(loose->job);
    attempt.timeout = options_.task_timeout;
    loose_tasks_.erase(loose);
    Give(worker, absl::StrCat("loose/", ++last_loose_), std::move(attempt));
    return true;
  }
  return false;
}

// Priority; within one priority first what is needed, then what may turn out not to matter; then
// the client with the fewest running tasks; then age.
bool EngineImpl::AssignFromJobs(const std::vector<Worker*>& idle) {
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
        const Placement next = NextTask(job, idle, required);
        if (next.task != nullptr) return Claim(&job, *next.task, next.worker);
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

bool EngineImpl::IsOpen(const Task& task) const {
  if (running_.count(task.key) > 0) return false;
  auto elsewhere = claimed_elsewhere_.find(task.key);
  return elsewhere == claimed_elsewhere_.end() || clock_->Now() >= elsewhere->second;
}

EngineImpl::Placement EngineImpl::NextTask(const Job& job, const std::vector<Worker*>& idle,
                                           bool required) const {
  const PlanDecision& decision = job.run->decision();
  const size_t begin = required ? 0 : decision.required;
  const size_t end = required ? decision.required : decision.wanted.size();
  // Speculation keeps its order: the nearer a candidate, the likelier it matters.
  const size_t most = required ? std::clamp<size_t>(kMostPairs / idle.size(), 1, kMostCompared) : 1;
  const bool has_readers = HasReaders();
  Placement best;
  size_t compared = 0;
  for (size_t i = begin; i < end && compared < most; ++i) {
    const Task& task = decision.wanted[i];
    if (!IsOpen(task) || FirstThatMayRun(task, idle, has_readers) == nullptr) continue;
    const std::vector<std::string> content = ContentOf(task);
    for (Worker* worker : idle) {
      if (!MayRun(*worker, task, has_readers)) continue;
      const size_t missing = MissingContent(content, worker->held);
      if (best.task == nullptr || missing < best.missing) best = {&task, worker, missing};
    }
    if (best.task != nullptr && best.missing == 0) break;
    ++compared;
  }
  return best;
}

bool EngineImpl::Claim(Job* job, const Task& task, Worker* worker) {
  if (task.kind() == "write_soup") {
    absl::Status status = CheckOutputFolder(job->record.output_folder, job->record.name);
    if (status.ok()) status = MakeFolders(ArtifactFolder(job->record));
    if (!status.ok()) {
      const std::string trouble = ArtifactTrouble(*job, status);
      if (trouble.empty()) {
        return EndJob(job, JobState::kFailed, Annotate(status, "the folder of the artifacts"),
                      Json::array());
      }
      Suspend(job, trouble);
      return true;
    }
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
  observer_->FactsLookedFor(0, 1);
  Reach("task_claimed");
  Attempt attempt;
  attempt.task = task;
  attempt.job = job->record.name;
  attempt.claim = *claim;
  attempt.lease_until = lease_until;
  attempt.timeout = std::min(options_.task_timeout, job->run->plan().spec().task_timeout);
  attempt.max_time = job->run->plan().spec().max_task_time;
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
  attempt.started = attempt.last_progress = now;
  worker->assignment = assignment_id;
  worker->last_heard = now;
  log_->Debug("task_given", {{"job", attempt.job},
                             {"task", attempt.task.description},
                             {"assignment", assignment_id},
                             {"worker", worker->info.id}});
  Post(worker->link, [assignment = Assignment{assignment_id, attempt.task}](WorkerLink* link) {
    link->Assign(assignment);
  });
  if (worker->held.size() > kMostHeld) worker->held.clear();
  for (std::string& digest : ContentOf(attempt.task)) worker->held.insert(std::move(digest));
  if (attempt.done == nullptr) running_[attempt.task.key] = assignment_id;
  attempts_.emplace(std::move(assignment_id), std::move(attempt));
}

}  // namespace stockpot
