// An Engine in memory that does what a test tells it: jobs and events are put in by hand, tasks are
// answered by a function, calls of workers are written down. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_ENGINE_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_ENGINE_H_

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/control/job/engine.h"

namespace stockpot {

class FakeEngine final : public Engine {
 public:
  struct WorkerCall {
    std::string what;  // "connected", "progress", "result", "leaving", "lost"
    std::string worker;
    std::string assignment;
    int64_t examples_done = 0;
    Fact fact;
  };

  // --- What tests put in. ---

  std::string artifact_root = "/nonexistent";
  using RunTaskFunction = std::function<void(const Task&, std::function<void(const Fact&)>)>;
  // What RunTask() does from now on.
  void AnswerTasks(RunTaskFunction run_task) {
    absl::MutexLock lock(&mutex_);
    run_task_ = std::move(run_task);
  }
  std::vector<WorkerView> workers;
  absl::Status room;  // for one more job

  // Every worker that connects from now on is answered with `refusal`.
  void RefuseWorkers(absl::Status refusal) {
    absl::MutexLock lock(&mutex_);
    refusal_ = std::move(refusal);
  }

  void PutJob(JobRecord record) {
    absl::MutexLock lock(&mutex_);
    const std::string name = record.name;
    jobs_[name].record = std::move(record);
  }

  void AddEvents(const std::string& name, int count,
                 const std::string& body = R"({"state_changed":{"state":"RUNNING"}})") {
    {
      absl::MutexLock lock(&mutex_);
      for (int i = 0; i < count; ++i) Append(&jobs_[name], body);
    }
    Notify();
  }

  void SetProgress(const std::string& name, JobProgress progress) {
    {
      absl::MutexLock lock(&mutex_);
      jobs_[name].progress = std::move(progress);
    }
    Notify();
  }

  void EndJob(const std::string& name, JobState state) {
    {
      absl::MutexLock lock(&mutex_);
      jobs_[name].record.state = state;
    }
    Notify();
  }

  // The state and the event that tells of it, as one.
  void EndWithEvent(const std::string& name, JobState state) {
    {
      absl::MutexLock lock(&mutex_);
      Append(&jobs_[name],
             absl::StrCat(R"({"state_changed":{"state":")", JobStateName(state), "\"}}"));
      jobs_[name].record.state = state;
    }
    Notify();
  }

  // --- What tests look at. ---

  std::vector<NewJob> created() const {
    absl::MutexLock lock(&mutex_);
    return created_;
  }
  int subscription_count() const {
    absl::MutexLock lock(&mutex_);
    return static_cast<int>(subscribers_.size());
  }
  int64_t events_read() const {
    absl::MutexLock lock(&mutex_);
    return events_read_;
  }
  void WaitForNoSubscription() const {
    const auto none = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return subscribers_.empty(); };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&none));
  }
  void WaitForSubscriptions(int count) const {
    const auto reached = [this, count]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return static_cast<int>(subscribers_.size()) >= count;
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&reached));
  }
  // Waits for the n-th call from workers.
  WorkerCall WaitForWorkerCall(size_t index) const {
    const auto there = [this, index]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) {
      return worker_calls_.size() > index;
    };
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&there));
    return worker_calls_[index];
  }
  WorkerLink* link() const {
    absl::MutexLock lock(&mutex_);
    return link_;
  }

  // --- Engine. ---

  void Drain() override {}
  void Stop() override {}

  absl::Status CheckNewJob(const NewJob&) override { return room; }

  absl::StatusOr<JobView> CreateJob(const NewJob& job) override {
    if (!room.ok()) return room;
    absl::MutexLock lock(&mutex_);
    created_.push_back(job);
    JobRecord record;
    record.name = absl::StrCat("jobs/", job.id.empty() ? absl::StrCat(created_.size()) : job.id);
    record.spec = job.spec;
    record.display_name = job.display_name;
    record.labels = job.labels;
    record.priority = job.priority;
    record.client = job.client;
    record.output_folder = job.output_folder;
    jobs_[record.name].record = record;
    return JobView{record, {}};
  }

  absl::StatusOr<JobView> GetJob(const std::string& name) override {
    absl::MutexLock lock(&mutex_);
    auto found = jobs_.find(name);
    if (found == jobs_.end()) return NotFound(name);
    return JobView{found->second.record, found->second.progress};
  }

  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) override {
    absl::MutexLock lock(&mutex_);
    std::vector<JobRecord> all;
    for (const auto& [name, job] : jobs_) {
      if (Matches(query, job.record)) all.push_back(job.record);
    }
    std::sort(all.begin(), all.end(), [&](const JobRecord& a, const JobRecord& b) {
      return PositionOf(query.order, a) < PositionOf(query.order, b);
    });
    if (all.size() > static_cast<size_t>(query.limit)) all.resize(static_cast<size_t>(query.limit));
    return all;
  }

  absl::StatusOr<JobView> CancelJob(const std::string& name) override { return GetJob(name); }
  absl::StatusOr<JobView> RetryJob(const std::string& name) override { return GetJob(name); }
  absl::Status DeleteJob(const std::string& name) override {
    absl::MutexLock lock(&mutex_);
    return jobs_.erase(name) > 0 ? absl::OkStatus() : NotFound(name);
  }

  absl::StatusOr<EventPage> ReadEvents(const std::string& name, int64_t after, int limit) override {
    absl::MutexLock lock(&mutex_);
    auto found = jobs_.find(name);
    if (found == jobs_.end()) return NotFound(name);
    const JobRow& job = found->second;
    EventPage page;
    page.progress = job.progress;
    for (auto i = static_cast<size_t>(after);
         i < job.events.size() && page.events.size() < static_cast<size_t>(limit); ++i) {
      page.events.push_back(job.events[i]);
    }
    events_read_ += static_cast<int64_t>(page.events.size());
    page.ended = static_cast<size_t>(after) + page.events.size() == job.events.size() &&
                 IsEnded(job.record.state);
    return page;
  }

  std::unique_ptr<Subscription> Subscribe(const std::string&,
                                          std::function<void()> changed) override {
    absl::MutexLock lock(&mutex_);
    const int id = next_subscription_++;
    subscribers_[id] = std::move(changed);
    return std::make_unique<FakeSubscription>(this, id);
  }

  bool Turn() override { return false; }
  void RunTask(const Task& task, const std::string&,
               std::function<void(const Fact&)> done) override {
    RunTaskFunction run_task;
    {
      absl::MutexLock lock(&mutex_);
      run_task = run_task_;
    }
    run_task(task, std::move(done));
  }

  std::string ArtifactFolder(const JobRecord& job) const override {
    return absl::StrCat(artifact_root, "/", job.name);
  }

  absl::Status WorkerConnected(const WorkerInfo& worker, WorkerLink* link) override {
    absl::MutexLock lock(&mutex_);
    if (!refusal_.ok()) return refusal_;
    link_ = link;
    worker_calls_.push_back({"connected", worker.id, "", 0, {}});
    return absl::OkStatus();
  }
  void WorkerProgress(const std::string& worker_id, const std::string& assignment_id,
                      int64_t examples_done) override {
    absl::MutexLock lock(&mutex_);
    worker_calls_.push_back({"progress", worker_id, assignment_id, examples_done, {}});
  }
  void WorkerResult(const std::string& worker_id, const std::string& assignment_id,
                    Fact fact) override {
    absl::MutexLock lock(&mutex_);
    worker_calls_.push_back({"result", worker_id, assignment_id, 0, std::move(fact)});
  }
  void WorkerLeaving(const std::string& worker_id) override {
    absl::MutexLock lock(&mutex_);
    worker_calls_.push_back({"leaving", worker_id, "", 0, {}});
  }
  void WorkerLost(const std::string& worker_id) override {
    absl::MutexLock lock(&mutex_);
    link_ = nullptr;
    worker_calls_.push_back({"lost", worker_id, "", 0, {}});
  }
  std::vector<WorkerView> Workers() override { return workers; }

 private:
  struct JobRow {
    JobRecord record;
    JobProgress progress;
    std::vector<EventRecord> events;
  };

  static void Append(JobRow* job, const std::string& body) {
    EventRecord event;
    event.sequence = ++job->record.last_sequence;
    event.time = absl::UnixEpoch() + absl::Seconds(event.sequence);
    event.body = body;
    job->events.push_back(std::move(event));
  }

  class FakeSubscription final : public Subscription {
   public:
    FakeSubscription(FakeEngine* engine, int id) : engine_(engine), id_(id) {}
    ~FakeSubscription() override {
      // Waits for a running Notify(), as the contract says.
      absl::MutexLock notify_lock(&engine_->notify_mutex_);
      absl::MutexLock lock(&engine_->mutex_);
      engine_->subscribers_.erase(id_);
    }

   private:
    FakeEngine* const engine_;
    const int id_;
  };

  static absl::Status NotFound(const std::string& name) {
    return WithReason(absl::NotFoundError(absl::StrCat("no job ", name)), "JOB_NOT_FOUND");
  }

  static bool Matches(const JobQuery& query, const JobRecord& record) {
    if (query.state.has_value() && record.state != *query.state) return false;
    if (query.client.has_value() && record.client != *query.client) return false;
    for (const auto& [key, value] : query.labels) {
      auto label = record.labels.find(key);
      if (label == record.labels.end() || label->second != value) return false;
    }
    if (!query.after.has_value()) return true;
    JobRecord after;
    after.create_time = query.after->create_time;
    after.name = query.after->name;
    after.priority = query.after->priority;
    return PositionOf(query.order, after) < PositionOf(query.order, record);
  }

  // What a listing sorts by.
  static std::tuple<int64_t, int64_t, std::string> PositionOf(JobOrder order,
                                                              const JobRecord& job) {
    const int64_t time = absl::ToUnixMicros(job.create_time);
    switch (order) {
      case JobOrder::kNewestFirst:
        return {0, -time, job.name};
      case JobOrder::kOldestFirst:
        return {0, time, job.name};
      case JobOrder::kHighestPriorityFirst:
        return {-job.priority, -time, job.name};
      case JobOrder::kLowestPriorityFirst:
        return {job.priority, -time, job.name};
    }
    return {};
  }

  void Notify() {
    absl::MutexLock notify_lock(&notify_mutex_);
    std::vector<std::function<void()>> calls;
    {
      absl::MutexLock lock(&mutex_);
      for (const auto& [id, changed] : subscribers_) calls.push_back(changed);
    }
    for (const std::function<void()>& changed : calls) changed();
  }

  absl::Mutex notify_mutex_ ABSL_ACQUIRED_BEFORE(mutex_);
  mutable absl::Mutex mutex_;
  absl::Status refusal_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, JobRow> jobs_ ABSL_GUARDED_BY(mutex_);
  RunTaskFunction run_task_ ABSL_GUARDED_BY(mutex_);
  std::vector<NewJob> created_ ABSL_GUARDED_BY(mutex_);
  std::map<int, std::function<void()>> subscribers_ ABSL_GUARDED_BY(mutex_);
  int next_subscription_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t events_read_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<WorkerCall> worker_calls_ ABSL_GUARDED_BY(mutex_);
  WorkerLink* link_ ABSL_GUARDED_BY(mutex_) = nullptr;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_ENGINE_H_
