#include "tests/support/fakes/unreliable_store.h"

#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

constexpr bool kRead = false, kWrite = true;

}  // namespace

template <typename Call>
auto UnreliableStore::Pass(bool write, Call call) -> decltype(call()) {
  const absl::Status gone = absl::UnavailableError("the server died");
  if (dead_) return gone;
  if (!error_.ok() && (write || reads_too_)) return error_;
  decltype(call()) result = call();
  if (calls_left_ < 0 || calls_left_-- > 0) return result;
  dead_ = true;
  return gone;
}

absl::StatusOr<Store::Created> UnreliableStore::CreateJob(const JobRecord& job,
                                                          const NewEvent& event) {
  return Pass(kWrite, [&] { return store_->CreateJob(job, event); });
}

absl::StatusOr<std::optional<JobRecord>> UnreliableStore::FindRequest(
    const std::string& client, const std::string& request_id) {
  return Pass(kRead, [&] { return store_->FindRequest(client, request_id); });
}

absl::StatusOr<JobRecord> UnreliableStore::GetJob(const std::string& name) {
  return Pass(kRead, [&] { return store_->GetJob(name); });
}

absl::StatusOr<std::vector<JobRecord>> UnreliableStore::ListJobs(const JobQuery& query) {
  return Pass(kRead, [&] { return store_->ListJobs(query); });
}

absl::StatusOr<std::vector<JobRecord>> UnreliableStore::ListUnfinishedJobs() {
  return Pass(kRead, [&] { return store_->ListUnfinishedJobs(); });
}

absl::StatusOr<std::vector<JobRecord>> UnreliableStore::ListEndedJobs(absl::Time ended_before,
                                                                      int64_t min_bytes,
                                                                      int limit) {
  return Pass(kRead, [&] { return store_->ListEndedJobs(ended_before, min_bytes, limit); });
}

absl::StatusOr<std::map<std::string, int64_t>> UnreliableStore::ArtifactBytes() {
  return Pass(kRead, [&] { return store_->ArtifactBytes(); });
}

absl::StatusOr<int64_t> UnreliableStore::UpdateJob(const JobRecord& job,
                                                   const std::vector<NewEvent>& events) {
  return Pass(kWrite, [&] { return store_->UpdateJob(job, events); });
}

absl::Status UnreliableStore::DeleteJob(const std::string& name) {
  return Pass(kWrite, [&] { return store_->DeleteJob(name); });
}

absl::StatusOr<std::vector<EventRecord>> UnreliableStore::ReadEvents(const std::string& job,
                                                                     int64_t after, int limit) {
  return Pass(kRead, [&] { return store_->ReadEvents(job, after, limit); });
}

absl::StatusOr<TaskClaim> UnreliableStore::ClaimTask(const std::string& job, const Task& task,
                                                     const std::string& owner, absl::Time now,
                                                     absl::Time lease_until) {
  return Pass(kWrite, [&] {
    if (witness_->finished.count(task.key) > 0) {
      witness_->violations.push_back(
          absl::StrCat("claimed though its result is known: ", task.description));
    }
    return store_->ClaimTask(job, task, owner, now, lease_until);
  });
}

absl::Status UnreliableStore::RenewLease(const std::string& key, int64_t fence,
                                         absl::Time lease_until) {
  return Pass(kWrite, [&] { return store_->RenewLease(key, fence, lease_until); });
}

absl::Status UnreliableStore::FinishTask(const std::string& task_key, int64_t fence,
                                         const Fact& fact, absl::Time now) {
  return Pass(kWrite, [&] {
    absl::Status status = store_->FinishTask(task_key, fence, fact, now);
    if (status.ok() && fact.status.ok() && !witness_->finished.insert(fact.key).second) {
      witness_->violations.push_back(absl::StrCat("finished twice: ", fact.result.dump()));
    }
    return status;
  });
}

absl::Status UnreliableStore::ReleaseTask(const std::string& key, int64_t fence) {
  return Pass(kWrite, [&] { return store_->ReleaseTask(key, fence); });
}

absl::Status UnreliableStore::HandBackTask(const std::string& key, int64_t fence) {
  return Pass(kWrite, [&] { return store_->HandBackTask(key, fence); });
}

absl::StatusOr<std::vector<Fact>> UnreliableStore::FindFacts(const std::string& job,
                                                             const std::vector<std::string>& keys) {
  return Pass(kRead, [&] { return store_->FindFacts(job, keys); });
}

absl::StatusOr<std::string> UnreliableStore::ReadExamples(const std::string& key) {
  return Pass(kRead, [&] { return store_->ReadExamples(key); });
}

absl::Status UnreliableStore::ForgetFailures(const std::string& job) {
  return Pass(kWrite, [&] { return store_->ForgetFailures(job); });
}

absl::StatusOr<int64_t> UnreliableStore::ForgetMeasures(absl::Time found_before) {
  return Pass(kWrite, [&] { return store_->ForgetMeasures(found_before); });
}

}  // namespace stockpot
