// Artifacts on their way to an object store. They lie in the server's data folder, whole; a worker
// copies them, which is a task that no plan wants: it finds no fact, it has an effect. The job ends
// when the copy is whole. After a crash of this process the job's plan is finished, and they are
// copied again.
#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/report_files.h"

namespace stockpot {

namespace {

// A worker's end says nothing of the place.
bool IsOfTheMoment(const absl::Status& status) {
  return IsTransient(status) || GetErrorFacts(status).reason == "WORKER_CRASHED";
}

}  // namespace

bool IsClients(const JobRecord& job) {
  return !job.output_folder.empty() && !IsRemoteFolder(job.output_folder);
}

void EngineImpl::Publish(Job* job, const Json& artifacts) {
  const std::string name = job->record.name;
  // One that was cancelled and has not ended: two at once might mix their files.
  const bool one_runs = std::any_of(attempts_.begin(), attempts_.end(), [&](const auto& entry) {
    return entry.second.job == name && entry.second.done != nullptr;
  });
  if (one_runs) return;  // its end tells
  std::vector<std::string> files;
  for (const Json& artifact : artifacts) files.push_back(artifact.value("file", ""));
  job->publishing = ++last_publishing_;
  log_->Info("publishing_artifacts", {{"job", name}, {"to", job->record.output_folder}});
  loose_tasks_.push_back(
      {PublishArtifactsTask(name, ArtifactFolder(job->record), job->record.output_folder, files),
       [this, name, number = job->publishing, artifacts](const Fact& fact) {
         Published(name, number, artifacts, fact.status);
       },
       "", name});
  Wake();
}

void EngineImpl::Published(const std::string& name, int64_t number, const Json& artifacts,
                           const absl::Status& status) {
  const absl::MutexLock hold(&mutex_);
  const auto found = jobs_.find(name);
  if (found == jobs_.end()) return;  // it ended meanwhile
  Job& job = found->second;
  Wake();
  if (job.publishing !=
      number) {  // the job was cancelled and retried, and may have waited for this
    if (job.publishing == 0 && job.run != nullptr) job.run->MarkStale();
    return;
  }
  if (!status.ok() && draining_) return;  // the next process goes on
  job.publishing = 0;
  if (status.ok()) {
    EndJob(&job, JobState::kSucceeded, status, artifacts);
  } else if (IsOfTheMoment(status) && ++job.publish_failures < options_.max_attempts) {
    log_->Warning("attempt_failed", {{"job", name},
                                     {"task", "publish the artifacts"},
                                     {"error", std::string(status.message())}});
    job.run->MarkStale();
  } else {
    EndJob(&job, JobState::kFailed, Annotate(status, "output_uri"), Json::array());
  }
}

}  // namespace stockpot
