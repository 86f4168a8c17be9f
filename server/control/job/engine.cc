// The engine's life, and ending, deleting and retrying jobs.
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/random_id.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/events.h"

namespace stockpot {
namespace {

int64_t IngredientCount(const JobRecord& job) {
  const absl::StatusOr<Json> spec = ParseJson(job.spec);
  if (!spec.ok() || !spec->is_object() || !spec->contains("ingredients")) return 0;
  return static_cast<int64_t>(spec->at("ingredients").size());
}

absl::Status JobEnded(const JobRecord& job) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat(job.name, " has ended: it is ", JobStateName(job.state))),
                    "JOB_ENDED");
}

absl::Status JobNotEnded(const JobRecord& job) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        job.name, " is ", JobStateName(job.state), ": cancel it first")),
                    "JOB_NOT_ENDED");
}

}  // namespace

std::string StorageTrouble(const absl::Status& status) {
  const std::string reason = GetErrorFacts(status).reason;
  if (reason == "DISK_FULL" || reason == "STORAGE_READ_ONLY") return reason;
  if (absl::IsResourceExhausted(status) && reason.empty()) return "DISK_FULL";
  return absl::IsPermissionDenied(status) && reason.empty() ? "STORAGE_READ_ONLY" : "";
}

absl::Status ServerStopping() {
  ErrorFacts facts;
  facts.reason = "SERVER_STOPPING";
  facts.retry_after = absl::Seconds(5);
  return WithFacts(absl::UnavailableError("the server is stopping"), facts);
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Options options, Store* store, Clock* clock,
                                                       Log* log, EngineObserver* observer) {
  auto engine = std::make_unique<EngineImpl>(std::move(options), store, clock, log, observer);
  RETURN_IF_ERROR(engine->Start());
  return engine;
}

EngineImpl::EngineImpl(Options options, Store* store, Clock* clock, Log* log,
                       EngineObserver* observer)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      log_(log),
      observer_(observer),
      owner_(RandomId()) {}

EngineImpl::~EngineImpl() { Stop(); }

absl::Status EngineImpl::Start() {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(std::vector<JobRecord> unfinished, store_->ListUnfinishedJobs());
  for (JobRecord& record : unfinished) {
    Job& job = jobs_[record.name];
    job.ingredient_count = IngredientCount(record);
    job.record = std::move(record);
  }
  log_->Info("engine_started", {{"unfinished_jobs", absl::StrCat(jobs_.size())}});
  if (options_.own_thread) thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void EngineImpl::Loop() {
  while (true) {
    Turn();
    absl::MutexLock hold(&mutex_);
    if (!wake_ && !stopping_) changed_.WaitWithTimeout(&mutex_, options_.tick);
    if (stopping_) return;
  }
}

bool EngineImpl::Turn() {
  std::vector<std::function<void()>> calls;
  std::set<std::string> jobs;
  {
    absl::MutexLock hold(&mutex_);
    if (stopping_) return false;
    wake_ = false;
    Pass();
    calls.swap(outbox_);
    jobs.swap(to_notify_);
  }
  for (const std::function<void()>& call : calls) call();
  for (const std::string& job : jobs) subscriptions_.Notify(job);
  absl::MutexLock hold(&mutex_);
  return wake_;
}

void EngineImpl::Pass() {
  CheckLeases();
  if (clock_->Now() >= store_retry_at_) {
    store_retry_at_ = absl::InfinitePast();
    SettleAttempts();
    ResumeSuspended();
    AdvanceJobs();
    CheckJobLimits();
    if (!draining_) AssignTasks();
    ForgetTheOld();
  }
  TellProgress();
  ReportCounts();
}

void EngineImpl::Reach(absl::string_view fail_point) const {
  if (options_.fail_points != nullptr) options_.fail_points->Reach(fail_point);
}

void EngineImpl::Wake() {
  wake_ = true;
  changed_.Signal();
}

void EngineImpl::Notify(const std::string& job) {
  to_notify_.insert(job);
  Wake();
}

void EngineImpl::Drain() {
  absl::MutexLock hold(&mutex_);
  draining_ = true;
  for (LooseTask& task : loose_tasks_) {
    outbox_.push_back([done = std::move(task.done), key = task.task.key] {
      done(Fact{key, ServerStopping(), {}, "", 0, ""});
    });
  }
  loose_tasks_.clear();
  Wake();
}

void EngineImpl::Stop() {
  Drain();
  {
    absl::MutexLock hold(&mutex_);
    if (stopping_) return;
    stopping_ = true;
    Wake();
  }
  if (thread_.joinable()) thread_.join();
  std::vector<std::function<void()>> calls;
  {
    absl::MutexLock hold(&mutex_);
    SettleAttempts();  // what had arrived
    for (auto& [id, attempt] : attempts_) {
      if (attempt.done != nullptr) {
        outbox_.push_back([done = std::move(attempt.done), key = attempt.task.key] {
          done(Fact{key, ServerStopping(), {}, "", 0, ""});
        });
      } else {
        store_->HandBackTask(attempt.task.key, attempt.claim.fence).IgnoreError();
      }
    }
    attempts_.clear();
    running_.clear();
    for (auto& [id, worker] : workers_) {
      worker.assignment.clear();
      Post(worker.link, [](WorkerLink* link) { link->Shutdown(); });
    }
    calls.swap(outbox_);
  }
  for (const std::function<void()>& call : calls) call();
}

absl::StatusOr<JobView> EngineImpl::CancelJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  auto found = jobs_.find(name);
  if (found == jobs_.end()) {
    ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
    if (record.state != JobState::kCancelled) return JobEnded(record);
    return JobView{std::move(record), {}};
  }
  found->second.record.cancel_requested = true;
  if (!EndJob(&found->second, JobState::kCancelled, absl::OkStatus(), Json::array())) {
    return absl::UnavailableError("the store cannot write at the moment: try again");
  }
  ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
  return JobView{std::move(record), {}};
}

absl::Status EngineImpl::DeleteJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(const JobRecord record, Record(name));
  if (!IsEnded(record.state)) return JobNotEnded(record);
  return Delete(record);
}

absl::Status EngineImpl::Delete(const JobRecord& record) {
  // The folder first: a job whose files are gone can be deleted again, files without a job cannot.
  if (!IsClients(record)) {
    RETURN_IF_ERROR(Annotate(RemoveAll(ArtifactFolder(record)), "the job's artifacts"));
  }
  Reach("artifacts_removed");
  RETURN_IF_ERROR(store_->DeleteJob(record.name));
  Notify(record.name);
  return absl::OkStatus();
}

absl::StatusOr<JobView> EngineImpl::RetryJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(JobRecord record, Record(name));
  if (!IsEnded(record.state)) return JobNotEnded(record);
  if (record.state == JobState::kSucceeded) return JobEnded(record);
  const int64_t ingredients = IngredientCount(record);
  RETURN_IF_ERROR(CheckRoomFor(record.client, ingredients));
  RETURN_IF_ERROR(store_->ForgetFailures(name));
  Job job;
  job.ingredient_count = ingredients;
  job.record = record;
  job.record.error = absl::OkStatus();
  job.record.start_time = job.record.end_time = std::nullopt;
  job.record.cancel_requested = false;
  job.record.report = job.record.artifacts = "";
  job.record.deadline = std::nullopt;
  ASSIGN_OR_RETURN(const Json spec, ParseJson(record.spec));
  const absl::StatusOr<JobSpec> parsed = ParseJobSpec(spec, "spec", options_.spec_limits);
  if (parsed.ok()) job.record.deadline = DeadlineOf(*parsed, clock_->Now());
  RETURN_IF_ERROR(SetState(&job, JobState::kQueued, "retried"));
  log_->Info("job_retried", {{"job", name}});
  return View(jobs_[name] = std::move(job));
}

}  // namespace stockpot
