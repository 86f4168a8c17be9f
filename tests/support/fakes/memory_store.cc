#include "tests/support/fakes/memory_store.h"

#include <algorithm>
#include <iterator>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// What other jobs may use too.
bool IsMeasured(const Fact& fact) {
  constexpr const char* kResults[] = {"measured", "not_better", "gap", "coefficients", "weights"};
  return std::any_of(std::begin(kResults), std::end(kResults),
                     [&](const char* result) { return fact.result.contains(result); });
}

absl::Status JobNotFound(const std::string& name) {
  return WithReason(absl::NotFoundError(absl::StrCat("no job '", name, "'")), "JOB_NOT_FOUND");
}

absl::Status JobExists(const std::string& job) {
  return WithMetadata(WithReason(absl::AlreadyExistsError("exists"), "JOB_EXISTS"), "job", job);
}

// What a listing sorts by.
std::tuple<int64_t, int64_t, std::string> PositionOf(JobOrder order, absl::Time create_time,
                                                     const std::string& name, int priority) {
  const int64_t time = absl::ToUnixMicros(create_time);
  switch (order) {
    case JobOrder::kNewestFirst:
      return {0, -time, name};
    case JobOrder::kOldestFirst:
      return {0, time, name};
    case JobOrder::kHighestPriorityFirst:
      return {-priority, -time, name};
    case JobOrder::kLowestPriorityFirst:
      return {priority, -time, name};
  }
  return {};
}

absl::Time Micros(absl::Time time) { return absl::FromUnixMicros(absl::ToUnixMicros(time)); }

}  // namespace

void MemoryStore::FailWrites(absl::Status status) {
  absl::MutexLock hold(&mutex_);
  write_error_ = std::move(status);
}

size_t MemoryStore::fact_count() {
  absl::MutexLock hold(&mutex_);
  return facts_.size();
}

absl::StatusOr<Store::Created> MemoryStore::CreateJob(const JobRecord& job, const NewEvent& event) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  if (const JobRecord* earlier = JobOfRequest(job.client, job.request_id)) {
    if (earlier->request_digest == job.request_digest) return Created{*earlier, true};
    return JobExists(earlier->name);
  }
  if (jobs_.count(job.name) > 0) return JobExists(job.name);
  StoredJob& stored = jobs_[job.name];
  stored.record = job;
  stored.record.last_sequence = 0;
  stored.record.create_time = Micros(job.create_time);
  Append(&stored, {event});
  return Created{stored.record, false};
}

const JobRecord* MemoryStore::JobOfRequest(const std::string& client,
                                           const std::string& request_id) {
  for (const auto& [name, job] : jobs_) {
    const JobRecord& record = job.record;
    if (!request_id.empty() && record.client == client && record.request_id == request_id) {
      return &record;
    }
  }
  return nullptr;
}

absl::StatusOr<std::optional<JobRecord>> MemoryStore::FindRequest(const std::string& client,
                                                                  const std::string& request_id) {
  absl::MutexLock hold(&mutex_);
  const JobRecord* found = JobOfRequest(client, request_id);
  return found == nullptr ? std::nullopt : std::optional<JobRecord>(*found);
}

absl::StatusOr<JobRecord> MemoryStore::GetJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  auto found = jobs_.find(name);
  if (found == jobs_.end()) return JobNotFound(name);
  return found->second.record;
}

std::vector<JobRecord> MemoryStore::Records() {
  std::vector<JobRecord> records;
  for (const auto& [name, job] : jobs_) {
    records.push_back(job.record);
    records.back().report.clear();
  }
  return records;
}

absl::StatusOr<std::vector<JobRecord>> MemoryStore::ListJobs(const JobQuery& query) {
  absl::MutexLock hold(&mutex_);
  std::vector<JobRecord> records = Records();
  std::sort(records.begin(), records.end(), [&](const JobRecord& a, const JobRecord& b) {
    return PositionOf(query.order, a.create_time, a.name, a.priority) <
           PositionOf(query.order, b.create_time, b.name, b.priority);
  });
  std::vector<JobRecord> result;
  for (JobRecord& record : records) {
    if (static_cast<int>(result.size()) >= query.limit) break;
    if (query.state.has_value() && record.state != *query.state) continue;
    if (query.client.has_value() && record.client != *query.client) continue;
    if (query.after.has_value() &&
        PositionOf(query.order, record.create_time, record.name, record.priority) <=
            PositionOf(query.order, query.after->create_time, query.after->name,
                       query.after->priority)) {
      continue;
    }
    const bool labelled =
        std::all_of(query.labels.begin(), query.labels.end(), [&](const auto& label) {
          auto found = record.labels.find(label.first);
          return found != record.labels.end() && found->second == label.second;
        });
    if (labelled) result.push_back(std::move(record));
  }
  return result;
}

absl::StatusOr<std::vector<JobRecord>> MemoryStore::ListUnfinishedJobs() {
  absl::MutexLock hold(&mutex_);
  std::vector<JobRecord> result = Records();
  result.erase(std::remove_if(result.begin(), result.end(),
                              [](const JobRecord& job) { return IsEnded(job.state); }),
               result.end());
  std::sort(result.begin(), result.end(), [](const JobRecord& a, const JobRecord& b) {
    return std::tie(a.create_time, a.name) < std::tie(b.create_time, b.name);
  });
  return result;
}

absl::StatusOr<std::vector<JobRecord>> MemoryStore::ListEndedJobs(absl::Time ended_before,
                                                                  int64_t min_bytes, int limit) {
  absl::MutexLock hold(&mutex_);
  std::vector<JobRecord> result = Records();
  result.erase(std::remove_if(result.begin(), result.end(),
                              [&](const JobRecord& job) {
                                return !IsEnded(job.state) || !(job.end_time < ended_before) ||
                                       job.artifact_bytes < min_bytes;
                              }),
               result.end());
  std::sort(result.begin(), result.end(), [](const JobRecord& a, const JobRecord& b) {
    return std::tie(*a.end_time, a.name) < std::tie(*b.end_time, b.name);
  });
  if (result.size() > static_cast<size_t>(limit)) result.resize(static_cast<size_t>(limit));
  return result;
}

absl::StatusOr<std::map<std::string, int64_t>> MemoryStore::ArtifactBytes() {
  absl::MutexLock hold(&mutex_);
  std::map<std::string, int64_t> bytes;
  for (const auto& [name, job] : jobs_) {
    if (job.record.artifact_bytes > 0) bytes[job.record.client] += job.record.artifact_bytes;
  }
  return bytes;
}

void MemoryStore::Append(StoredJob* job, const std::vector<NewEvent>& events) {
  for (const NewEvent& event : events) {
    const bool known = std::any_of(job->events.begin(), job->events.end(),
                                   [&](const EventRecord& old) { return old.key == event.key; });
    if (known) continue;
    job->events.push_back({++job->record.last_sequence, Micros(event.time), event.key, event.body});
  }
}

absl::StatusOr<int64_t> MemoryStore::UpdateJob(const JobRecord& job,
                                               const std::vector<NewEvent>& events) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  auto found = jobs_.find(job.name);
  if (found == jobs_.end()) return JobNotFound(job.name);
  JobRecord& record = found->second.record;
  record.state = job.state;
  record.suspend_reason = job.suspend_reason;
  record.error = job.error;
  record.start_time = job.start_time;
  record.end_time = job.end_time;
  record.cancel_requested = job.cancel_requested;
  record.report = job.report;
  record.artifacts = job.artifacts;
  record.artifact_bytes = job.artifact_bytes;
  record.deadline = job.deadline;
  Append(&found->second, events);
  return record.last_sequence;
}

absl::Status MemoryStore::DeleteJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  if (jobs_.erase(name) == 0) return JobNotFound(name);
  for (auto fact = facts_.begin(); fact != facts_.end();) {
    const Fact& found = fact->second.fact;
    const bool own = found.job == name && (!fact->first.second.empty() || !IsMeasured(found));
    fact = own ? facts_.erase(fact) : std::next(fact);
  }
  for (auto task = tasks_.begin(); task != tasks_.end();) {
    task = task->second.job == name ? tasks_.erase(task) : std::next(task);
  }
  return absl::OkStatus();
}

absl::StatusOr<std::vector<EventRecord>> MemoryStore::ReadEvents(const std::string& job,
                                                                 int64_t after, int limit) {
  absl::MutexLock hold(&mutex_);
  auto found = jobs_.find(job);
  if (found == jobs_.end()) return JobNotFound(job);
  std::vector<EventRecord> events;
  for (const EventRecord& event : found->second.events) {
    if (event.sequence > after && static_cast<int>(events.size()) < limit) events.push_back(event);
  }
  return events;
}

absl::StatusOr<TaskClaim> MemoryStore::ClaimTask(const std::string& job, const Task& task,
                                                 const std::string&, absl::Time now,
                                                 absl::Time lease_until) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  TaskRow& row = tasks_[task.key];
  if (row.running && row.lease_until > now) {
    return WithReason(absl::AbortedError("claimed"), "TASK_CLAIMED");
  }
  row = {job, task.kind(), true, lease_until, ++last_fence_, row.attempt + 1};
  return TaskClaim{row.fence, row.attempt};
}

absl::Status MemoryStore::CheckFence(const std::string& key, int64_t fence) {
  auto found = tasks_.find(key);
  if (found != tasks_.end() && found->second.running && found->second.fence == fence) {
    return absl::OkStatus();
  }
  return WithReason(absl::AbortedError("stale"), "STALE_FENCE");
}

absl::Status MemoryStore::RenewLease(const std::string& key, int64_t fence,
                                     absl::Time lease_until) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  RETURN_IF_ERROR(CheckFence(key, fence));
  tasks_[key].lease_until = lease_until;
  return absl::OkStatus();
}

absl::Status MemoryStore::FinishTask(const std::string& task_key, int64_t fence, const Fact& fact,
                                     absl::Time now) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  RETURN_IF_ERROR(CheckFence(task_key, fence));
  tasks_[task_key].running = false;
  if (fact.status.ok()) {
    facts_.emplace(std::pair(fact.key, ""), StoredFact{fact, now});
  } else {
    facts_[{fact.key, fact.job}] = {fact, now};
  }
  return absl::OkStatus();
}

absl::Status MemoryStore::ReleaseTask(const std::string& key, int64_t fence) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  RETURN_IF_ERROR(CheckFence(key, fence));
  tasks_[key].running = false;
  return absl::OkStatus();
}

absl::Status MemoryStore::HandBackTask(const std::string& key, int64_t fence) {
  RETURN_IF_ERROR(ReleaseTask(key, fence));
  absl::MutexLock hold(&mutex_);
  --tasks_[key].attempt;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<Fact>> MemoryStore::FindFacts(const std::string& job,
                                                         const std::vector<std::string>& keys) {
  absl::MutexLock hold(&mutex_);
  std::vector<Fact> facts;
  for (const std::string& key : keys) {
    auto found = facts_.find({key, job});
    if (found == facts_.end()) found = facts_.find({key, ""});
    if (found == facts_.end()) continue;
    facts.push_back(found->second.fact);
    facts.back().examples.clear();
  }
  return facts;
}

absl::StatusOr<std::string> MemoryStore::ReadExamples(const std::string& key) {
  absl::MutexLock hold(&mutex_);
  auto found = facts_.find({key, ""});
  if (found == facts_.end()) return absl::NotFoundError("no such fact");
  return found->second.fact.examples;
}

absl::Status MemoryStore::ForgetFailures(const std::string& job) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  for (auto fact = facts_.begin(); fact != facts_.end();) {
    fact = fact->first.second == job ? facts_.erase(fact) : std::next(fact);
  }
  for (auto& [key, row] : tasks_) {
    if (row.job == job) row.attempt = 0;
  }
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MemoryStore::ForgetMeasures(absl::Time found_before) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(write_error_);
  int64_t count = 0;
  for (auto entry = facts_.begin(); entry != facts_.end();) {
    const auto& [fact, found] = entry->second;
    const bool forgotten = IsMeasured(fact) && found < found_before && jobs_.count(fact.job) == 0;
    count += forgotten ? 1 : 0;
    entry = forgotten ? facts_.erase(entry) : std::next(entry);
  }
  return count;
}

}  // namespace stockpot
