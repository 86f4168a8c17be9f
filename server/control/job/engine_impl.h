// The engine's state, under one lock. Internal to control/job: see engine.h.
//
// One scheduling thread passes over the state whenever something happened: it stores what arrived
// (settle.cc), asks the plans and ends jobs (advance.cc), looks at deadlines and budgets
// (limits.cc), and gives tasks to idle workers (assign.cc). API calls (engine.cc, create.cc,
// view.cc) and the worker service (workers.cc) change the state under the same lock and wake it.
// Calls out (links, subscriptions, `done`) are queued in outbox_ and made by the scheduling thread
// without the lock, in order.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_ENGINE_IMPL_H_
#define STOCKPOT_SERVER_CONTROL_JOB_ENGINE_IMPL_H_

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/engine.h"
#include "server/control/job/job_run.h"
#include "server/control/job/subscriptions.h"

namespace stockpot {

inline constexpr absl::string_view kNamePrefix = "jobs/";

class EngineImpl final : public Engine {
 public:
  EngineImpl(Options options, Store* store, Clock* clock, Log* log, EngineObserver* observer);
  ~EngineImpl() override;
  absl::Status Start();

  bool Turn() override;
  void Drain() override;
  void Stop() override;
  absl::Status CheckNewJob(const NewJob& job) override;
  absl::StatusOr<JobView> CreateJob(const NewJob& job) override;
  absl::StatusOr<JobView> GetJob(const std::string& name) override;
  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) override;
  absl::StatusOr<JobView> CancelJob(const std::string& name) override;
  absl::Status DeleteJob(const std::string& name) override;
  absl::StatusOr<JobView> RetryJob(const std::string& name) override;
  absl::StatusOr<EventPage> ReadEvents(const std::string& name, int64_t after, int limit) override;
  std::unique_ptr<Subscription> Subscribe(const std::string& name,
                                          std::function<void()> changed) override;
  void RunTask(const Task& task, const std::string& client,
               std::function<void(const Fact&)> done) override;
  std::string ArtifactFolder(const JobRecord& job) const override;
  absl::Status WorkerConnected(const WorkerInfo& worker, WorkerLink* link) override;
  void WorkerProgress(const std::string& worker_id, const std::string& assignment_id,
                      int64_t examples_done) override;
  void WorkerResult(const std::string& worker_id, const std::string& assignment_id,
                    Fact fact) override;
  void WorkerLeaving(const std::string& worker_id) override;
  void WorkerLost(const std::string& worker_id) override;
  std::vector<WorkerView> Workers() override;

 private:
  // The way to a worker that may be gone: `link` is null from the moment WorkerLost returns.
  struct LinkHolder {
    absl::Mutex mutex;  // held during a call
    WorkerLink* link ABSL_GUARDED_BY(mutex) = nullptr;
  };
  struct Worker {
    WorkerInfo info;
    std::shared_ptr<LinkHolder> link;
    std::string assignment;                      // "": idle
    bool hung = false;                           // told to shut down; gets nothing more
    bool leaving = false;                        // gets nothing more, by its own wish
    absl::Time end_at = absl::InfiniteFuture();  // of a hung one's process
    absl::Time last_heard;
    absl::flat_hash_set<std::string> held;  // digests of what it was given lately
  };
  struct Job {
    JobRecord record;
    int64_t ingredient_count = 0;
    std::unique_ptr<JobRun> run;  // null until the job's turn
    bool progressed = false;      // since watchers were told
    absl::Time progress_told;
    int64_t publishing = 0;    // which copying of its artifacts is under way; 0: none
    int publish_failures = 0;  // that may have been of the moment
    // Of a suspended job: when to go on, and how long it waited. Each time it waits longer.
    absl::Time resume_at = absl::InfinitePast();
    absl::Duration resume_delay;
  };
  // A task given to a worker.
  struct Attempt {
    Task task;
    std::string job;  // for whom; "" for RunTask's
    TaskClaim claim;
    std::string worker;
    absl::Time started, lease_until;
    int64_t examples_done = 0;
    absl::Time last_progress;
    absl::Duration timeout;  // without progress
    absl::Duration max_time = absl::InfiniteDuration();
    bool cancelled = false;
    std::function<void(const Fact&)> done;  // of a LooseTask
    // How it ended: kept until the store has it.
    std::optional<Fact> fact;
    std::optional<absl::Status> lost;
    bool handed_back = false;  // of a lost one: by a worker that leaves, so the loss does not count
    bool ended() const { return fact.has_value() || lost.has_value(); }
  };
  // One that no plan wants and of which no fact is stored.
  struct LooseTask {
    Task task;
    std::function<void(const Fact&)> done;
    std::string client = {};  // who asked: of RunTask's
    std::string job = {};     // whose end cancels it; "": nobody's
  };

  // engine.cc, create.cc, view.cc
  void Loop();
  void Pass() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Wake() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Notify(const std::string& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::StatusOr<JobRecord> Record(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobView View(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The numerics class that all the job wants now needs and no connected worker has; else "".
  std::string MissingNumerics(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  JobProgress Progress(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckRoomFor(const std::string& client, int64_t ingredients)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Room for so many more.
  absl::Status CheckIngredients(const std::string& client, int64_t more)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  struct Request {
    JobRecord record;
    JobSpec spec;
  };
  absl::StatusOr<Request> ReadRequest(const NewJob& job) const;
  // The job that the same request made before; nothing where a new one may be made.
  absl::StatusOr<std::optional<JobRecord>> CheckRequest(const Request& request)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckOutputIsFree(const std::string& folder) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Delete(const JobRecord& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reach(absl::string_view fail_point) const;

  // advance.cc: jobs.
  void AdvanceJobs() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Loads the job when needed and follows its plan one step. The job may be gone afterwards.
  void Advance(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: they are too many, and the job has ended.
  bool CountIngredients(Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Succeed(Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Stores the end of the job and forgets it; false: the store could not, it is tried again.
  bool EndJob(Job* job, JobState state, const absl::Status& error, const Json& artifacts)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One transaction: the record with `state`, and `events` after the event of the state.
  absl::Status SetState(Job* job, JobState state, const std::string& message,
                        std::vector<NewEvent> events = {}) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status Write(Job* job, JobRecord record, const std::vector<NewEvent>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellDecision(const NewEvent& event);
  // False when the store failed: all work waits for a while; a full disk suspends the job.
  bool StoreWorks(const absl::Status& status, Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // StorageTrouble() where this job's artifacts go: a folder of the client's that is read-only is
  // the client's to mend.
  static std::string ArtifactTrouble(const Job& job, const absl::Status& status);
  void Suspend(Job* job, const std::string& reason) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ResumeSuspended() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Cancels attempts made for `job` whose task it does not want any more.
  void CancelUnwanted(const std::string& job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Null: none.
  const std::string* JobThatWants(const std::string& key) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // publish.cc: artifacts on their way to an object store.
  void Publish(Job* job, const Json& artifacts) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `number` is Job::publishing's.
  void Published(const std::string& name, int64_t number, const Json& artifacts,
                 const absl::Status& status);

  // limits.cc: deadlines, budgets, retention.
  void CheckJobLimits() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Duration WorkerTime(const Job& job) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndBudget(Job* job) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetTheOld() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DeleteExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status DeleteOverBound() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // assign.cc: idle workers.
  void AssignTasks() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::vector<Worker*> IdleWorkers() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // One of them gets a task, if there is one. True: something was done; all may still be idle.
  bool AssignOne(const std::vector<Worker*>& idle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AssignFromJobs(const std::vector<Worker*>& idle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool AssignLoose(const std::vector<Worker*>& idle) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // `has_readers`: HasReaders(), which is asked once for many.
  static bool MayRun(const Worker& worker, const Task& task, bool has_readers);
  // Null: none of them.
  static Worker* FirstThatMayRun(const Task& task, const std::vector<Worker*>& idle,
                                 bool has_readers);
  std::vector<std::string> JobsInClaimOrder() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Which task of the job is next, and who of `idle` does it; nulls: none.
  struct Placement {
    const Task* task = nullptr;
    Worker* worker = nullptr;
    size_t missing = 0;  // digests of the task that the worker does not hold
  };
  Placement NextTask(const Job& job, const std::vector<Worker*>& idle, bool required) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Nobody runs it, here or elsewhere.
  bool IsOpen(const Task& task) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Claim(Job* job, const Task& task, Worker* worker) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Give(Worker* worker, std::string assignment_id, Attempt attempt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // settle.cc: attempts that ended.
  void SettleAttempts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the store could not take it, the attempt is kept.
  bool Settle(const std::string& assignment_id, Attempt* attempt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool StoreFact(const Attempt& attempt, const Fact& fact) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Why the task could not write what it had to, "DISK_FULL" or "STORAGE_READ_ONLY"; or "".
  std::string DiskTrouble(const Attempt& attempt) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // As if the attempt had not been made.
  bool HandBack(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The disk is full or read-only: nothing is lost, the job waits.
  bool SuspendFor(Job* job, const Attempt& attempt, const std::string& reason)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool CountLoss(const Attempt& attempt, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RecordEnd(const Attempt& attempt) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // workers.cc
  absl::Status CheckInspections(const std::string& client) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // TASK_TIMEOUT, of an attempt that has had its time.
  static absl::Status Lateness(const Attempt& attempt, absl::Time now);
  void CheckLeases() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TellProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ReportCounts() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the attempt of a worker that answers no more, and the worker.
  void GiveUp(Worker* worker, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Ends the attempt of a worker that will not give a result.
  void Lose(Worker* worker, const absl::Status& why) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Cancel(const std::string& assignment_id, Attempt* attempt)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Post(const std::shared_ptr<LinkHolder>& link, std::function<void(WorkerLink*)> call)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // That run models.
  int WorkerCount() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // There are workers without a device that take tasks.
  bool HasReaders() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MarkAllStale() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Constant after construction.
  const Options options_;
  Store* const store_;
  Clock* const clock_;
  Log* const log_;
  EngineObserver* const observer_;
  const std::string owner_;  // of claims: random per process start
  Subscriptions subscriptions_;

  absl::Mutex mutex_;
  absl::CondVar changed_;
  bool wake_ ABSL_GUARDED_BY(mutex_) = false;
  bool draining_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<std::string, Job> jobs_ ABSL_GUARDED_BY(mutex_);  // unfinished, by name
  std::map<std::string, Worker> workers_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, Attempt> attempts_ ABSL_GUARDED_BY(mutex_);     // by assignment id
  std::map<std::string, std::string> running_ ABSL_GUARDED_BY(mutex_);  // task key -> assignment id
  std::map<std::string, absl::Time> claimed_elsewhere_ ABSL_GUARDED_BY(mutex_);  // try again when
  std::deque<LooseTask> loose_tasks_ ABSL_GUARDED_BY(mutex_);
  int64_t last_loose_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t last_publishing_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Time forget_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  absl::Time store_retry_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::set<std::string> to_notify_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::function<void()>> outbox_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;  // started by Start(), joined by Stop()
};

// RESOURCE_EXHAUSTED with `reason` and when to come back, if more is wanted than there may be.
// `limit` 0: none.
absl::Status CheckRoom(const std::string& reason, int64_t wanted, int64_t limit, const char* what);

// Where JobLimits.timeout ends for a job that begins now; none when it has none.
std::optional<absl::Time> DeadlineOf(const JobSpec& spec, absl::Time now);

// Why what is written in a store or an artifact folder has to wait: "DISK_FULL",
// "STORAGE_READ_ONLY"; or "".
std::string StorageTrouble(const absl::Status& status);

// Whether a failure says something of the moment, not of the task.
bool IsTransient(const absl::Status& status);

// Whether the folder of a job's artifacts is the client's, and not in the server's data folder.
bool IsClients(const JobRecord& job);

// UNAVAILABLE, SERVER_STOPPING, with when to try again.
absl::Status ServerStopping();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_ENGINE_IMPL_H_
