// control/job: jobs, events, the Store interface, the engine that schedules tasks on workers.
//
// This header: what outlives the process. A Store holds jobs, their events, task attempts and
// facts. Implementations: MemoryStore (tests), control/store/sqlite. One conformance suite runs
// against all.
//
// Guarantees every implementation gives:
//  1. A call that returned OK survives kill -9 (MemoryStore: survives within the process).
//  2. Each call is one transaction: all of it or nothing.
//  3. Event sequences of a job are 1, 2, 3 … without gaps; an event key is stored once per job, a
//     second time is silently dropped.
//  4. A fence is given once per key and grows; a write that names an old fence, or one whose claim
//     has ended, changes nothing and is ABORTED (reason STALE_FENCE).
//  5. A fact that is OK is never replaced, and everybody finds it. A failure belongs to the job
//     that met it: no other job finds it.
//
// Errors: NOT_FOUND (reason JOB_NOT_FOUND), ALREADY_EXISTS (JOB_EXISTS), ABORTED (STALE_FENCE),
// UNAVAILABLE busy for too long, RESOURCE_EXHAUSTED (DISK_FULL), INTERNAL anything else.
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_STORE_H_
#define STOCKPOT_SERVER_CONTROL_JOB_STORE_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/recipe/task.h"

namespace stockpot {

enum class JobState { kQueued, kRunning, kSuspended, kSucceeded, kFailed, kCancelled };

absl::string_view JobStateName(JobState state);  // "QUEUED", as in stockpot.v1.Job.State
std::optional<JobState> ParseJobState(absl::string_view name);
bool IsEnded(JobState state);

struct JobRecord {
  std::string name;  // "jobs/…", primary key
  // JSON mapping of stockpot.v1.JobSpec, as given by the client.
  std::string spec;
  std::string display_name;
  std::map<std::string, std::string> labels;
  int priority = 0;
  std::string client;          // who made it, by its own word; "" is a client too
  std::string request_id;      // "" or unique per client
  std::string request_digest;  // of all that the client said, to tell a repeat from a conflict
  std::string recipe_version;  // Plan::recipe_version() when it was made
  // Where artifacts go: a path; or a URI, where they are copied to from the server's data folder;
  // "": to that alone.
  std::string output_folder;

  // Everything below changes while the job lives.
  JobState state = JobState::kQueued;
  std::string suspend_reason;
  absl::Status error;      // of a FAILED job
  absl::Time create_time;  // microseconds are kept
  std::optional<absl::Time> start_time, end_time;
  std::optional<absl::Time> deadline;  // of JobLimits.timeout
  bool cancel_requested = false;
  std::string report;          // JSON mapping of stockpot.v1.Report; "" before there is one
  std::string artifacts;       // JSON list of stockpot.v1.ArtifactFile; ""
  int64_t artifact_bytes = 0;  // of those in the server's own data folder
  int64_t last_sequence = 0;   // set by the store
};

struct NewEvent {
  std::string key;  // unique within the job: "state/RUNNING/1", "step/3"
  absl::Time time;
  std::string body;  // JSON mapping of stockpot.v1.JobEvent without sequence and time
};

struct EventRecord {
  int64_t sequence = 0;
  absl::Time time;
  std::string key;
  std::string body;
};

enum class JobOrder { kNewestFirst, kOldestFirst, kHighestPriorityFirst, kLowestPriorityFirst };

struct JobQuery {
  std::optional<JobState> state;
  std::map<std::string, std::string> labels;  // all must be equal
  std::optional<std::string> client;          // whose jobs; absent: everybody's
  // Equal priorities newest first; equal times by name.
  JobOrder order = JobOrder::kNewestFirst;
  // Jobs that come after this one in the listing: for paging.
  struct Position {
    absl::Time create_time;
    std::string name;
    int priority = 0;  // looked at where the order is one of priority
  };
  std::optional<Position> after;
  int limit = 50;
};

struct TaskClaim {
  int64_t fence = 0;  // names this attempt in every later write
  int attempt = 0;    // 1, 2, … over all processes
};

class Store {
 public:
  virtual ~Store() = default;

  // Stores the job with its first event. With a request_id that the same client used before:
  // returns the job of then when request_digest is equal, else ALREADY_EXISTS with the job's name
  // in metadata "job". A taken name: ALREADY_EXISTS.
  struct Created {
    JobRecord job;
    bool existed = false;
  };
  virtual absl::StatusOr<Created> CreateJob(const JobRecord& job, const NewEvent& event) = 0;

  // The job that this client made with this request_id, if any.
  virtual absl::StatusOr<std::optional<JobRecord>> FindRequest(const std::string& client,
                                                               const std::string& request_id) = 0;
  virtual absl::StatusOr<JobRecord> GetJob(const std::string& name) = 0;
  // Without reports.
  virtual absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) = 0;
  // QUEUED, RUNNING and SUSPENDED jobs, oldest first.
  virtual absl::StatusOr<std::vector<JobRecord>> ListUnfinishedJobs() = 0;

  // Ended jobs whose end is before `ended_before` and whose artifacts have at least `min_bytes`,
  // longest ended first, without reports.
  virtual absl::StatusOr<std::vector<JobRecord>> ListEndedJobs(absl::Time ended_before,
                                                               int64_t min_bytes, int limit) = 0;
  // Sum of artifact_bytes by client.
  virtual absl::StatusOr<std::map<std::string, int64_t>> ArtifactBytes() = 0;

  // Replaces the changing part of the job and appends events. Returns the job's last sequence.
  virtual absl::StatusOr<int64_t> UpdateJob(const JobRecord& job,
                                            const std::vector<NewEvent>& events) = 0;

  // Removes the job, its events, its task rows, its failures, and the facts that are of use to it
  // alone. Measures stay: what a model, an ensemble, a gap, learning or a comparison of weights
  // gave, which other jobs that run may have told of.
  virtual absl::Status DeleteJob(const std::string& name) = 0;

  // Events with sequence > `after`, in order, at most `limit`.
  virtual absl::StatusOr<std::vector<EventRecord>> ReadEvents(const std::string& job, int64_t after,
                                                              int limit) = 0;

  // Writes the attempt before the work: risky work that kills everything is still counted.
  // A running claim of the same key whose lease has not ended: ABORTED (reason TASK_CLAIMED).
  virtual absl::StatusOr<TaskClaim> ClaimTask(const std::string& job, const Task& task,
                                              const std::string& owner, absl::Time now,
                                              absl::Time lease_until) = 0;
  virtual absl::Status RenewLease(const std::string& key, int64_t fence,
                                  absl::Time lease_until) = 0;
  // Stores the fact, found by `fact.job`, and ends the claim of `task_key`. The fact's key may be
  // another (FactKey()).
  virtual absl::Status FinishTask(const std::string& task_key, int64_t fence, const Fact& fact,
                                  absl::Time now) = 0;
  // Ends the claim without a result; the attempt stays counted.
  virtual absl::Status ReleaseTask(const std::string& key, int64_t fence) = 0;
  // Ends the claim as if it had not been made: the attempt does not count, for its end says nothing
  // of the task (a full disk, a server that stops). The fence is not given again.
  virtual absl::Status HandBackTask(const std::string& key, int64_t fence) = 0;

  // Facts found among `keys` as `job` may see them (its own failures first), without `examples`.
  virtual absl::StatusOr<std::vector<Fact>> FindFacts(const std::string& job,
                                                      const std::vector<std::string>& keys) = 0;
  virtual absl::StatusOr<std::string> ReadExamples(const std::string& key) = 0;
  // Forgets a job's failures (facts with a status that is not OK) and attempts: RetryJob.
  virtual absl::Status ForgetFailures(const std::string& job) = 0;
  // Forgets measures that were found before a time by jobs that are gone; returns how many.
  virtual absl::StatusOr<int64_t> ForgetMeasures(absl::Time found_before) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_STORE_H_
