// Jobs: follow the plan, tell what is known, end.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/events.h"
#include "server/control/job/report_files.h"

namespace stockpot {
namespace {

// A suspended job looks again at least so often.
constexpr absl::Duration kMostResumeDelay = absl::Minutes(5);

int64_t SizeOf(const Json& artifacts) {
  int64_t bytes = 0;
  for (const Json& artifact : artifacts) bytes += artifact.value("size_bytes", int64_t{0});
  return bytes;
}

}  // namespace

void EngineImpl::AdvanceJobs() {
  std::vector<std::string> stale;
  for (const auto& [name, job] : jobs_) {
    if (job.run != nullptr && job.run->stale()) stale.push_back(name);
  }
  for (const std::string& name : stale) {
    if (store_retry_at_ == absl::InfinitePast()) Advance(name);
  }
}

void EngineImpl::Advance(const std::string& name) {
  Job& job = jobs_.at(name);
  if (job.run == nullptr) {
    absl::StatusOr<std::unique_ptr<JobRun>> run = JobRun::Load(
        job.record, {ArtifactFolder(job.record), options_.software, options_.spec_limits}, store_);
    if (absl::IsInvalidArgument(run.status()) || absl::IsFailedPrecondition(run.status())) {
      EndJob(&job, JobState::kFailed, run.status(), Json::array());
      return;
    }
    if (!StoreWorks(run.status(), &job)) return;
    job.run = *std::move(run);
  }
  const absl::Status stepped = job.run->Step(WorkerCount(), store_);
  observer_->FactsLookedFor(job.run->TakeFactsFound(), 0);
  if (!StoreWorks(stepped, &job)) return;
  if (!CountIngredients(&job)) return;
  const std::vector<NewEvent> events = job.run->NewEvents(clock_->Now());
  if (!events.empty()) {
    const absl::Status status = job.record.state == JobState::kQueued
                                    ? SetState(&job, JobState::kRunning, "", events)
                                    : Write(&job, job.record, events);
    if (!StoreWorks(status, &job)) {
      job.run->MarkStale();
      return;
    }
    job.run->MarkTold();
    Reach("events_stored");
  }
  job.progressed = true;
  if (job.run->stale()) {  // more is known than the decision took into account
    Wake();
    return;
  }
  CancelUnwanted(name);
  const PlanDecision& decision = job.run->decision();
  if (!decision.finished) return;
  if (decision.failure.ok()) {
    Succeed(&job);
  } else {
    EndJob(&job, JobState::kFailed, decision.failure, Json::array());
  }
}

// Patterns count as what they match once that is known. A job that has begun goes on.
bool EngineImpl::CountIngredients(Job* job) {
  const auto count = static_cast<int64_t>(job->run->plan().spec().ingredients.size());
  if (count > job->ingredient_count && job->run->is_new()) {
    const absl::Status room = CheckIngredients(job->record.client, count - job->ingredient_count);
    if (!room.ok()) {
      EndJob(job, JobState::kFailed, room, Json::array());
      return false;
    }
  }
  job->ingredient_count = count;
  return true;
}

void EngineImpl::Succeed(Job* job) {
  if (job->publishing != 0) return;
  if (!StoreWorks(job->run->ReadExamples(store_), job)) {
    job->run->MarkStale();
    return;
  }
  const Json report = MakeReport(*job->run, clock_->Now());
  absl::StatusOr<Json> artifacts =
      WriteReportFiles(job->record, *job->run, report, options_.software,
                       ArtifactFolder(job->record), [this](const char* point) { Reach(point); });
  if (const std::string trouble = ArtifactTrouble(*job, artifacts.status()); !trouble.empty()) {
    job->run->MarkStale();
    Suspend(job, trouble);
  } else if (!artifacts.ok()) {
    EndJob(job, JobState::kFailed, Annotate(artifacts.status(), "writing the report"),
           Json::array());
  } else if (IsRemoteFolder(job->record.output_folder)) {
    Publish(job, *artifacts);
  } else {
    EndJob(job, JobState::kSucceeded, absl::OkStatus(), *artifacts);
  }
}

bool EngineImpl::EndJob(Job* job, JobState state, const absl::Status& error,
                        const Json& artifacts) {
  const absl::Time now = clock_->Now();
  const JobRecord before = job->record;
  job->record.error = error;
  job->record.end_time = now;
  if (job->run != nullptr) job->record.report = DumpJson(MakeReport(*job->run, now));
  if (!artifacts.empty()) job->record.artifacts = DumpJson(artifacts);
  if (!IsClients(job->record)) job->record.artifact_bytes = SizeOf(artifacts);
  const absl::Status status = SetState(job, state, std::string(error.message()));
  if (!status.ok()) {
    job->record = before;
    if (job->run != nullptr) job->run->MarkStale();
    StoreWorks(status, job);
    return false;
  }
  Reach("job_ended");
  const std::string name = job->record.name;
  log_->Info("job_ended", {{"job", name},
                           {"state", std::string(JobStateName(state))},
                           {"error", std::string(error.message())}});
  observer_->JobEnded(state);
  jobs_.erase(name);
  CancelUnwanted(name);
  return true;
}

absl::Status EngineImpl::SetState(Job* job, JobState state, const std::string& message,
                                  std::vector<NewEvent> events) {
  const absl::Time now = clock_->Now();
  JobRecord record = job->record;
  record.state = state;
  if (state != JobState::kSuspended) record.suspend_reason.clear();
  if (state == JobState::kRunning && !record.start_time.has_value()) record.start_time = now;
  events.insert(events.begin(), StateEvent(record, now, message));
  return Write(job, std::move(record), events);
}

absl::Status EngineImpl::Write(Job* job, JobRecord record, const std::vector<NewEvent>& events) {
  ASSIGN_OR_RETURN(record.last_sequence, store_->UpdateJob(record, events));
  job->record = std::move(record);
  for (const NewEvent& event : events) TellDecision(event);
  Notify(job->record.name);
  return absl::OkStatus();
}

void EngineImpl::TellDecision(const NewEvent& event) {
  if (!absl::StartsWith(event.key, "step/")) return;
  const absl::StatusOr<Json> body = ParseJson(event.body);
  if (!body.ok()) return;
  const Json step = body->value("candidate_decided", Json::object()).value("step", Json::object());
  observer_->CandidateDecided(step.value("passed_over", false)   ? "passed_over"
                              : step.value("accepted", false)    ? "accepted"
                              : step.contains("not_better_than") ? "dropped"
                                                                 : "rejected");
}

bool EngineImpl::StoreWorks(const absl::Status& status, Job* job) {
  if (status.ok()) return true;
  log_->Error("store_failed", {{"error", std::string(status.message())},
                               {"job", job == nullptr ? "" : job->record.name}});
  store_retry_at_ = clock_->Now() + options_.store_retry;
  const std::string trouble = StorageTrouble(status);
  if (!trouble.empty() && job != nullptr && !IsEnded(job->record.state)) Suspend(job, trouble);
  return false;
}

std::string EngineImpl::ArtifactTrouble(const Job& job, const absl::Status& status) {
  const std::string trouble = StorageTrouble(status);
  return IsClients(job.record) && trouble == "STORAGE_READ_ONLY" ? "" : trouble;
}

void EngineImpl::Suspend(Job* job, const std::string& reason) {
  job->resume_delay = std::clamp(2 * job->resume_delay, options_.store_retry,
                                 std::max(kMostResumeDelay, options_.store_retry));
  job->resume_at = clock_->Now() + job->resume_delay;
  if (job->record.state == JobState::kSuspended) return;
  job->record.suspend_reason = reason;
  const std::string message =
      absl::StrCat(reason == "DISK_FULL" ? "the disk is full" : "the data folder cannot be written",
                   "; tried again by itself");
  // The disk may refuse this too; then only this process knows, and goes on by itself.
  if (!SetState(job, JobState::kSuspended, message).ok()) {
    job->record.state = JobState::kSuspended;
    Notify(job->record.name);
  }
}

void EngineImpl::ResumeSuspended() {
  if (store_retry_at_ != absl::InfinitePast()) return;
  for (auto& [name, job] : jobs_) {
    if (job.record.state != JobState::kSuspended || clock_->Now() < job.resume_at) continue;
    if (!StoreWorks(SetState(&job, JobState::kRunning, "goes on"), &job)) return;
    if (job.run != nullptr) job.run->MarkStale();
  }
}

const std::string* EngineImpl::JobThatWants(const std::string& key) const {
  for (const auto& [name, job] : jobs_) {
    if (job.run != nullptr && job.run->Wants(key)) return &name;
  }
  return nullptr;
}

void EngineImpl::CancelUnwanted(const std::string& job) {
  auto found = jobs_.find(job);
  if (found == jobs_.end()) {
    std::erase_if(loose_tasks_, [&](const LooseTask& loose) { return loose.job == job; });
  }
  // A decision that is cut short does not tell what is unwanted.
  if (found != jobs_.end() &&
      (found->second.run == nullptr || found->second.run->decision().truncated)) {
    return;
  }
  for (auto& [id, attempt] : attempts_) {
    if (attempt.job != job || attempt.ended() || attempt.cancelled) continue;
    const bool is_wanted = found != jobs_.end() && (attempt.done != nullptr ||  // publishes
                                                    found->second.run->Wants(attempt.task.key));
    if (is_wanted) continue;
    if (const std::string* other = JobThatWants(attempt.task.key)) {
      attempt.job = *other;
    } else {
      Cancel(id, &attempt);
    }
  }
}

}  // namespace stockpot
