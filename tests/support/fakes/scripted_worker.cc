#include "tests/support/fakes/scripted_worker.h"

#include <algorithm>
#include <random>
#include <utility>

#include "tests/support/fakes/fake_results.h"
#include "tests/support/fakes/fake_worker.h"

namespace stockpot {
namespace {

constexpr absl::Duration kGenerous = absl::Seconds(30);

}  // namespace

class ScriptedPool::Link final : public WorkerLink {
 public:
  Link(ScriptedPool* pool, std::string worker) : pool_(pool), worker_(std::move(worker)) {}
  void Assign(const Assignment& assignment) override { pool_->Add(worker_, assignment); }
  void Cancel(const std::string& assignment_id) override {
    absl::MutexLock hold(&pool_->mutex_);
    pool_->cancelled_.push_back(assignment_id);
  }
  void Shutdown() override {
    absl::MutexLock hold(&pool_->mutex_);
    pool_->shut_down_.push_back(worker_);
  }
  void Drop() override {
    absl::MutexLock hold(&pool_->mutex_);
    pool_->dropped_.push_back(worker_);
  }

 private:
  ScriptedPool* const pool_;
  const std::string worker_;
};

ScriptedPool::ScriptedPool(Engine* engine) : engine_(engine) {}

ScriptedPool::~ScriptedPool() {
  std::vector<std::string> workers;
  {
    absl::MutexLock hold(&mutex_);
    for (const auto& [worker, link] : links_) workers.push_back(worker);
  }
  for (const std::string& worker : workers) Kill(worker);
}

absl::Status ScriptedPool::Connect(const std::string& worker, const std::string& numerics) {
  auto link = std::make_unique<Link>(this, worker);
  const absl::Status status = engine_->WorkerConnected(FakeWorker(worker, numerics), link.get());
  absl::MutexLock hold(&mutex_);
  if (status.ok()) links_[worker] = std::move(link);
  return status;
}

void ScriptedPool::Kill(const std::string& worker) {
  engine_->WorkerLost(worker);
  absl::MutexLock hold(&mutex_);
  links_.erase(worker);
  open_.erase(std::remove_if(open_.begin(), open_.end(),
                             [&](const Given& given) { return given.worker == worker; }),
              open_.end());
}

void ScriptedPool::Add(const std::string& worker, const Assignment& assignment) {
  absl::MutexLock hold(&mutex_);
  open_.push_back({worker, assignment});
  assigned_keys_.push_back(assignment.task.key);
}

std::optional<std::vector<ScriptedPool::Given>> ScriptedPool::WaitForOpen(size_t count) {
  absl::MutexLock hold(&mutex_);
  auto enough = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return open_.size() >= count; };
  if (!mutex_.AwaitWithTimeout(absl::Condition(&enough), kGenerous)) return std::nullopt;
  return open_;
}

bool ScriptedPool::WaitUntil(std::function<bool()> condition) {
  const absl::Time deadline = absl::Now() + kGenerous;
  while (!condition()) {
    if (absl::Now() > deadline) return false;
    // Woken by any change here; looks again now and then for what changes elsewhere.
    absl::MutexLock hold(&mutex_);
    const size_t before = open_.size() + cancelled_.size() + shut_down_.size();
    auto changed = [&]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
      return open_.size() + cancelled_.size() + shut_down_.size() != before;
    };
    mutex_.AwaitWithTimeout(absl::Condition(&changed), absl::Milliseconds(5));
  }
  return true;
}

std::vector<ScriptedPool::Given> ScriptedPool::open() {
  absl::MutexLock hold(&mutex_);
  return open_;
}

std::vector<std::string> ScriptedPool::cancelled() {
  absl::MutexLock hold(&mutex_);
  return cancelled_;
}

std::vector<std::string> ScriptedPool::shut_down() {
  absl::MutexLock hold(&mutex_);
  return shut_down_;
}

std::vector<std::string> ScriptedPool::dropped() {
  absl::MutexLock hold(&mutex_);
  return dropped_;
}

std::vector<std::string> ScriptedPool::assigned_keys() {
  absl::MutexLock hold(&mutex_);
  return assigned_keys_;
}

void ScriptedPool::Answer(const Given& given, Fact fact) {
  {
    absl::MutexLock hold(&mutex_);
    open_.erase(std::remove_if(
                    open_.begin(), open_.end(),
                    [&](const Given& other) { return other.assignment.id == given.assignment.id; }),
                open_.end());
  }
  engine_->WorkerResult(given.worker, given.assignment.id, std::move(fact));
}

int ScriptedPool::AnswerSome(const std::string& job, int count, unsigned seed) {
  std::mt19937 random(seed);
  auto ended = [&] {
    const absl::StatusOr<JobView> view = engine_->GetJob(job);
    return !view.ok() || IsEnded(view->record.state);
  };
  for (int answered = 0; answered < count; ++answered) {
    if (!WaitUntil([&] { return !open().empty() || ended(); })) return answered;
    const std::vector<Given> now = open();
    if (now.empty()) return answered;
    const Given given = now[random() % now.size()];
    const std::vector<std::string> gone = cancelled();
    if (std::find(gone.begin(), gone.end(), given.assignment.id) != gone.end()) {
      Fact fact;
      fact.status = absl::CancelledError("cancelled");
      Answer(given, std::move(fact));
    } else {
      Answer(given, FakeResult(given.assignment.task));
    }
  }
  return count;
}

bool ScriptedPool::RunToEnd(const std::string& job, unsigned seed) {
  constexpr int kMore = 1000000;
  AnswerSome(job, kMore, seed);
  return WaitUntil([&] {
    const absl::StatusOr<JobView> view = engine_->GetJob(job);
    return view.ok() && IsEnded(view->record.state);
  });
}

}  // namespace stockpot
