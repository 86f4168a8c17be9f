// What clients see of jobs: their records, progress and events.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"

namespace stockpot {

absl::StatusOr<JobRecord> EngineImpl::Record(const std::string& name) {
  auto found = jobs_.find(name);
  if (found != jobs_.end()) return found->second.record;
  return store_->GetJob(name);
}

std::string EngineImpl::MissingNumerics(const Job& job) const {
  const std::vector<Task>& wanted = job.run->decision().wanted;
  for (const Task& task : wanted) {
    const bool fits = std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
      return task.numerics.empty() || entry.second.info.numerics == task.numerics;
    });
    if (fits) return "";
  }
  return wanted.empty() || workers_.empty() ? "" : wanted.front().numerics;
}

JobProgress EngineImpl::Progress(const Job& job) const {
  JobProgress progress;
  if (job.run == nullptr) return progress;
  const PlanDecision& decision = job.run->decision();
  progress.tasks_done = decision.tasks_done;
  progress.tasks_total = decision.tasks_total;
  progress.examples_done = decision.examples_done;
  progress.examples_total = decision.examples_total;
  progress.activity = decision.activity;
  if (const std::string numerics = MissingNumerics(job); !numerics.empty()) {
    progress.activity = absl::StrCat("waits for a worker that computes as '", numerics,
                                     "': those that are connected do not");
  }
  int running = 0;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.cancelled || !job.run->Wants(attempt.task.key)) continue;
    ++running;
    progress.examples_done += std::min(attempt.examples_done, attempt.task.example_count);
  }
  progress.estimated_seconds_left =
      job.run->SecondsPerExample() *
      static_cast<double>(progress.examples_total - progress.examples_done) / std::max(1, running);
  return progress;
}

JobView EngineImpl::View(const Job& job) const { return {job.record, Progress(job)}; }

absl::StatusOr<JobView> EngineImpl::GetJob(const std::string& name) {
  {
    absl::MutexLock hold(&mutex_);
    auto found = jobs_.find(name);
    if (found != jobs_.end()) return View(found->second);
  }
  ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
  return JobView{std::move(record), {}};
}

absl::StatusOr<std::vector<JobRecord>> EngineImpl::ListJobs(const JobQuery& query) {
  return store_->ListJobs(query);
}

absl::StatusOr<Engine::EventPage> EngineImpl::ReadEvents(const std::string& name, int64_t after,
                                                         int limit) {
  EventPage page;
  int64_t last = 0;
  bool ended = false;
  {
    absl::MutexLock hold(&mutex_);
    auto found = jobs_.find(name);
    if (found == jobs_.end()) {
      ended = true;
    } else {
      last = found->second.record.last_sequence;
      page.progress = Progress(found->second);
    }
  }
  if (ended) {
    ASSIGN_OR_RETURN(const JobRecord record, store_->GetJob(name));
    last = record.last_sequence;
    ended = IsEnded(record.state);
  }
  if (after < 0 || after > last) {
    return WithReason(
        absl::OutOfRangeError(absl::StrCat("after_sequence ", after, " is not in 0 … ", last,
                                           ", the sequences of ", name)),
        "SEQUENCE_OUT_OF_RANGE");
  }
  ASSIGN_OR_RETURN(page.events, store_->ReadEvents(name, after, limit));
  const int64_t read = page.events.empty() ? after : page.events.back().sequence;
  page.ended = ended && read >= last;
  return page;
}

std::unique_ptr<Engine::Subscription> EngineImpl::Subscribe(const std::string& name,
                                                            std::function<void()> changed) {
  return subscriptions_.Add(name, std::move(changed));
}

std::string EngineImpl::ArtifactFolder(const JobRecord& job) const {
  if (IsClients(job)) return job.output_folder;
  return absl::StrCat(options_.artifact_folder, "/", absl::StripPrefix(job.name, kNamePrefix));
}

}  // namespace stockpot
