// The engine: jobs in, tasks out to workers, facts back, events to watchers.
//
// For every unfinished job the engine asks the plan (server/recipe/plan.h) what is wanted, looks
// for it in the store's facts, and gives what is missing to idle workers; a fact that arrives is
// stored, then announced, then the plan is asked again. Equal tasks of two jobs run once.
//
// Thread safety: thread-safe. Calls do not block on tasks; they may block on the store.
// Locking: callbacks (WorkerLink, Subscription) are called without the engine's lock held.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_ENGINE_H_
#define STOCKPOT_SERVER_CONTROL_JOB_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/device_kind.h"
#include "server/base/fail_point.h"
#include "server/base/log.h"
#include "server/control/job/store.h"

namespace stockpot {

// What metrics hear of; implemented in control/metrics' terms by main/.
class EngineObserver {
 public:
  virtual ~EngineObserver() = default;
  virtual void JobEnded(JobState state) = 0;
  struct UnfinishedJobs {
    int queued = 0, running = 0, suspended = 0;
    absl::Duration oldest_queued;  // how long the one that waits longest has; 0 where none does
  };
  virtual void JobCounts(const UnfinishedJobs& jobs) = 0;
  // outcome: "ok", "failed", "lost", "cancelled".
  virtual void TaskEnded(const std::string& kind, const std::string& outcome, double seconds) = 0;
  // A pass over a data set gave its scores. `examples_spared`: that a proof made needless.
  virtual void EvaluationEnded(int64_t examples_spared) = 0;
  // What jobs asked for was known already, or is given to a worker.
  virtual void FactsLookedFor(int64_t known, int64_t unknown) = 0;
  // decision: "accepted", "rejected", "dropped" (as soon as it could not win, so that it has no
  // scores), "passed_over". Told once, when the event is stored.
  virtual void CandidateDecided(const std::string& decision) = 0;
  struct WorkerCounts {
    int connected = 0, busy = 0;
  };
  // `local`: processes of this server. `remote`: those that dialled it.
  virtual void WorkerCount(const WorkerCounts& local, const WorkerCounts& remote) = 0;
};

struct WorkerInfo {
  std::string id;
  std::string device_kind, device_name, numerics;
  int64_t process_id = 0;
  bool is_remote = false;  // no process of this server

  bool has_device() const { return device_kind != kNoDevice; }
};

struct Assignment {
  std::string id;  // unique per attempt
  Task task;
};

// The way to one worker; implemented by rpc/. Calls never block and may come after the worker is
// gone.
class WorkerLink {
 public:
  virtual ~WorkerLink() = default;
  virtual void Assign(const Assignment& assignment) = 0;
  virtual void Cancel(const std::string& assignment_id) = 0;
  virtual void Shutdown() = 0;
  // The worker is given up: whatever it does, its connection ends.
  virtual void Drop() = 0;
};

struct JobProgress {
  int64_t tasks_done = 0, tasks_total = 0;
  int64_t examples_done = 0, examples_total = 0;
  std::string activity;
  double estimated_seconds_left = 0;
};

struct JobView {
  JobRecord record;
  JobProgress progress;
};

// How much the unfinished jobs, and what is stored, may come to. 0: no limit. More is
// RESOURCE_EXHAUSTED with retry_after; reason TOO_MANY_JOBS, TOO_MANY_INGREDIENTS, TOO_MANY_BYTES,
// TOO_MANY_INSPECTIONS.
struct EngineLimits {
  // QUEUED, RUNNING and SUSPENDED jobs together: of all clients, and of each.
  int max_unfinished_jobs = 1000;
  int max_unfinished_jobs_of_client = 0;
  int64_t max_unfinished_ingredients = 0;
  int64_t max_unfinished_ingredients_of_client = 0;
  // Artifacts in the data folder. A job that is accepted may still go beyond.
  int64_t max_artifact_bytes = 0;
  int64_t max_artifact_bytes_of_client = 0;
  // Tasks outside any job (RunTask) that wait for a worker.
  int max_waiting_inspections = 100;
  int max_waiting_inspections_of_client = 50;
};

// Which ended jobs are deleted without being asked. Running jobs are never touched.
struct Retention {
  // Longest time since the end; measures of deleted jobs are kept as long. Infinite: for ever.
  absl::Duration age = absl::InfiniteDuration();
  // Artifacts in the data folder: the longest ended jobs go first. 0: no bound.
  int64_t artifact_bytes = 0;
  absl::Duration check_every = absl::Minutes(1);
};

// 1 to 63 of a-z, 0-9 and '-'.
bool IsJobId(absl::string_view id);

struct NewJob {
  std::string id;    // "" or the {job} of jobs/{job}
  std::string spec;  // JSON mapping of stockpot.v1.JobSpec, checked
  std::string display_name;
  std::map<std::string, std::string> labels;
  int priority = 0;
  std::string client;
  std::string request_id;
  // Of output_uri: an absolute path or a folder of an object store that the operator allows; or "".
  std::string output_folder;
  // Of the trace that the call belongs to, for the log; "": none.
  std::string trace_id;
};

class Engine {
 public:
  struct Options {
    // Artifacts go to artifact_folder/{job}/.
    std::string artifact_folder;
    SpecLimits spec_limits;
    EngineLimits limits;
    Retention retention;
    // Attempts of one task that may end without a result before its job fails.
    int max_attempts = 2;
    // Claims of one task, by whatever process, that may end without anybody having seen why.
    int max_claims = 20;
    // A worker that is silent for so long is taken for hung: its attempt is lost.
    absl::Duration lease = absl::Seconds(30);
    // A task without progress for so long is taken for stuck, though its worker beats: its attempt
    // is lost. A job may ask for less.
    absl::Duration task_timeout = absl::Hours(1);
    // Ends the process of a worker that was told to stop and has not gone after one more lease,
    // where there is one on this host (its link is dropped in any case); called without the
    // engine's lock. Null: nobody can.
    std::function<void(const std::string& worker_id)> end_worker;
    // How long the engine waits before it tries again when the store cannot write.
    absl::Duration store_retry = absl::Seconds(5);
    // How often leases and progress are looked at, in real time.
    absl::Duration tick = absl::Milliseconds(250);
    std::string software;  // "stockpotd 0.1.0", for provenance
    // Where a test ends the process; null: nowhere. Must outlive the engine.
    const FailPoints* fail_points = nullptr;
    // False: there is no scheduling thread, the caller runs Turn().
    bool own_thread = true;
  };

  // Starts the scheduling thread and takes up the unfinished jobs of the store. `store`, `clock`,
  // `log` and `observer` must outlive the engine.
  static absl::StatusOr<std::unique_ptr<Engine>> Create(Options options, Store* store, Clock* clock,
                                                        Log* log, EngineObserver* observer);
  virtual ~Engine() = default;

  // Without a thread of its own (Options::own_thread): does what is to be done now, callbacks
  // included. True: there may be more.
  virtual bool Turn() = 0;

  // Refuses new jobs and claims from now on; running tasks go on until Stop().
  virtual void Drain() = 0;
  // Ends the scheduling thread; tells workers to stop. Nothing stored is lost.
  virtual void Stop() = 0;

  // Errors as CreateJob … RetryJob in proto/stockpot/v1/soup_service.proto.
  virtual absl::StatusOr<JobView> CreateJob(const NewJob& job) = 0;
  // What CreateJob would answer, without a job: for validate_only.
  virtual absl::Status CheckNewJob(const NewJob& job) = 0;
  virtual absl::StatusOr<JobView> GetJob(const std::string& name) = 0;
  virtual absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) = 0;
  virtual absl::StatusOr<JobView> CancelJob(const std::string& name) = 0;
  virtual absl::Status DeleteJob(const std::string& name) = 0;
  virtual absl::StatusOr<JobView> RetryJob(const std::string& name) = 0;

  // Events after a sequence, from the store. `ended`: the job has ended and these are the last
  // ones.
  struct EventPage {
    std::vector<EventRecord> events;
    bool ended = false;
    JobProgress progress;
  };
  virtual absl::StatusOr<EventPage> ReadEvents(const std::string& name, int64_t after,
                                               int limit) = 0;
  // Calls `changed` (from any thread, possibly more often than needed) when the job may have new
  // events or progress, until the returned handle is destroyed; its destructor waits for a running
  // call, so it must not run inside `changed`.
  class Subscription {
   public:
    virtual ~Subscription() = default;
  };
  virtual std::unique_ptr<Subscription> Subscribe(const std::string& name,
                                                  std::function<void()> changed) = 0;

  // Runs one task outside any job (InspectSource) for `client`, after those of jobs; `done` is
  // called once, at the latest by Stop(). It is tried once; the fact is not stored.
  virtual void RunTask(const Task& task, const std::string& client,
                       std::function<void(const Fact&)> done) = 0;

  // The folder where a job's artifacts are: below Options::artifact_folder, or its output_uri.
  virtual std::string ArtifactFolder(const JobRecord& job) const = 0;

  // From the worker service. A worker is idle from WorkerConnected on. `link` must stay valid until
  // WorkerLost returns.
  virtual absl::Status WorkerConnected(const WorkerInfo& worker, WorkerLink* link) = 0;
  virtual void WorkerProgress(const std::string& worker_id, const std::string& assignment_id,
                              int64_t examples_done) = 0;
  // A fact (its key is filled in by the engine) for the assignment.
  virtual void WorkerResult(const std::string& worker_id, const std::string& assignment_id,
                            Fact fact) = 0;
  // It ends by itself: it gets no other task, and is told to shut down once it has none. A result
  // with the reason HANDED_BACK then says that its task was not done, and nothing of the task.
  virtual void WorkerLeaving(const std::string& worker_id) = 0;
  virtual void WorkerLost(const std::string& worker_id) = 0;

  struct WorkerView {
    WorkerInfo info;
    bool busy = false;
  };
  virtual std::vector<WorkerView> Workers() = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_ENGINE_H_
