// A Store before another one, for one server's life: it can fail for a while, and it can be the
// instant at which the server dies. It also watches over all that pass through one Witness: a task
// that has a result is never claimed again and never finished a second time.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_UNRELIABLE_STORE_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_UNRELIABLE_STORE_H_

#include <map>
#include <set>
#include <string>
#include <vector>

#include "server/control/job/store.h"

namespace stockpot {

class UnreliableStore final : public Store {
 public:
  // Outlives servers, as a disk does.
  struct Witness {
    std::set<std::string> finished;       // keys of tasks with a result that is OK
    std::vector<std::string> violations;  // what must not happen, in words
  };

  // Both must outlive this.
  UnreliableStore(Store* store, Witness* witness) : store_(store), witness_(witness) {}

  // Every write (every call, with `reads_too`) fails with this until it is OK again.
  void Fail(absl::Status error, bool reads_too = false) {
    error_ = std::move(error);
    reads_too_ = reads_too;
  }
  // The call after so many is done, but nobody hears of it: nor does any later one happen.
  void DieAfter(int calls) { calls_left_ = calls; }
  bool dead() const { return dead_; }

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
  template <typename Call>
  auto Pass(bool write, Call call) -> decltype(call());

  Store* const store_;
  Witness* const witness_;
  absl::Status error_;
  bool reads_too_ = false;
  int calls_left_ = -1;  // negative: it lives on
  bool dead_ = false;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_UNRELIABLE_STORE_H_
