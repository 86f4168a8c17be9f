// A Store in memory, for tests; passes the conformance suite of the real ones. It can be told to
// fail writes. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_MEMORY_STORE_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_MEMORY_STORE_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/store.h"

namespace stockpot {

class MemoryStore final : public Store {
 public:
  // Every write fails with this until it is OK again.
  void FailWrites(absl::Status status);
  // Facts stored so far, failures included.
  size_t fact_count();

  absl::StatusOr<Created> CreateJob(const JobRecord& job, const NewEvent& event) override;
  absl::StatusOr<std::optional<JobRecord>> FindRequest(const std::string& client,
                                                       const std::string& request_id) override;
  absl::StatusOr<JobRecord> GetJob(const std::string& name) override;
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) override;
  absl::StatusOr<std::vector<JobRecord>> ListUnfinishedJobs() override;
  absl::StatusOr<std::vector<JobRecord>> ListEndedJobs(absl::Time ended_before, int64_t min_bytes,
                                                       int limit) override;
  absl::StatusOr<std::map<std::string, int64_t>> ArtifactBytes() override;
  absl::StatusOr<int64_t> UpdateJob(const JobRecord& job,
                                    const std::vector<NewEvent>& events) override;
  absl::Status DeleteJob(const std::string& name) override;
  absl::StatusOr<std::vector<EventRecord>> ReadEvents(const std::string& job, int64_t after,
                                                      int limit) override;
  absl::StatusOr<TaskClaim> ClaimTask(const std::string& job, const Task& task,
                                      const std::string& owner, absl::Time now,
                                      absl::Time lease_until) override;
  absl::Status RenewLease(const std::string& key, int64_t fence, absl::Time lease_until) override;
  absl::Status FinishTask(const std::string& task_key, int64_t fence, const Fact& fact,
                          absl::Time now) override;
  absl::Status ReleaseTask(const std::string& key, int64_t fence) override;
  absl::Status HandBackTask(const std::string& key, int64_t fence) override;
  absl::StatusOr<std::vector<Fact>> FindFacts(const std::string& job,
                                              const std::vector<std::string>& keys) override;
  absl::StatusOr<std::string> ReadExamples(const std::string& key) override;
  absl::Status ForgetFailures(const std::string& job) override;
  absl::StatusOr<int64_t> ForgetMeasures(absl::Time found_before) override;

 private:
  struct StoredJob {
    JobRecord record;
    std::vector<EventRecord> events;
  };
  struct TaskRow {
    std::string job, kind;
    bool running = false;
    absl::Time lease_until;
    int64_t fence = 0;
    int attempt = 0;
  };
  void Append(StoredJob* job, const std::vector<NewEvent>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckFence(const std::string& key, int64_t fence)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  const JobRecord* JobOfRequest(const std::string& client, const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Without reports.
  std::vector<JobRecord> Records() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  absl::Status write_error_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, StoredJob> jobs_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, TaskRow> tasks_ ABSL_GUARDED_BY(mutex_);
  // By key and scope: "" for a fact that is OK, else the job.
  struct StoredFact {
    Fact fact;
    absl::Time found;
  };
  std::map<std::pair<std::string, std::string>, StoredFact> facts_ ABSL_GUARDED_BY(mutex_);
  int64_t last_fence_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_MEMORY_STORE_H_
