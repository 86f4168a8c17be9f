#include "server/control/supervisor/supervisor.h"

#include <signal.h>

#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/random_id.h"

namespace stockpot {
namespace {

std::string NewWorkerId() { return absl::StrCat(RandomId(), RandomId()); }

}  // namespace

Supervisor::Supervisor(Options options, Clock* clock, Log* log)
    : options_(std::move(options)), clock_(clock), log_(log) {}

Supervisor::~Supervisor() { Stop(); }

void Supervisor::Start() {
  for (int slot = 0; slot < options_.count; ++slot) {
    threads_.emplace_back([this, slot] { KeepRunning(slot); });
  }
}

void Supervisor::Stop() {
  const auto none_left = [this]() ABSL_SHARED_LOCKS_REQUIRED(mutex_) { return live_.empty(); };
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  SignalAll(SIGTERM);
  {
    absl::MutexLock lock(&mutex_);
    if (!mutex_.AwaitWithTimeout(absl::Condition(&none_left), options_.stop_grace)) {
      log_->Warning("workers_killed", {{"count", absl::StrCat(live_.size())},
                                       {"after", absl::FormatDuration(options_.stop_grace)}});
    }
  }
  SignalAll(SIGKILL);
  for (std::thread& thread : threads_) thread.join();
  threads_.clear();
}

void Supervisor::KillAll() { SignalAll(SIGKILL); }

void Supervisor::Kill(const std::string& id) {
  absl::MutexLock lock(&mutex_);
  auto found = live_.find(id);
  if (found != live_.end()) found->second->Signal(SIGKILL);
}

bool Supervisor::IsLive(const std::string& id) const {
  absl::MutexLock lock(&mutex_);
  return live_.count(id) > 0;
}

std::vector<std::string> Supervisor::LiveIds() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::string> ids;
  for (const auto& [id, child] : live_) ids.push_back(id);
  return ids;
}

void Supervisor::KeepRunning(int slot) {
  int early_exits = 0;
  while (true) {
    const absl::Time start = clock_->Now();
    const bool started = RunOnce(slot);
    early_exits = started && clock_->Now() - start >= options_.healthy_after ? 1 : early_exits + 1;
    const absl::Duration delay = RestartDelay(options_.backoff, early_exits, RandomJitter());
    absl::MutexLock lock(&mutex_);
    if (mutex_.AwaitWithTimeout(absl::Condition(&stopping_), delay)) return;
  }
}

bool Supervisor::RunOnce(int slot) {
  const std::string id = NewWorkerId();
  std::shared_ptr<ChildProcess> child;
  {
    // Under the lock, so that Stop() signals a child that starts at the same time, and a worker
    // that connects at once is known.
    absl::MutexLock lock(&mutex_);
    if (stopping_) return true;
    absl::StatusOr<std::unique_ptr<ChildProcess>> started =
        ChildProcess::Start(options_.arguments(id, slot));
    if (!started.ok()) {
      log_->Error("worker_not_started", {{"slot", absl::StrCat(slot)},
                                         {"error", std::string(started.status().message())}});
      return false;
    }
    child = *std::move(started);
    live_[id] = child;
  }
  log_->Info("worker_started", {{"worker", id},
                                {"slot", absl::StrCat(slot)},
                                {"process", absl::StrCat(child->process_id())}});
  const std::string how = child->Wait();
  absl::MutexLock lock(&mutex_);
  live_.erase(id);
  if (stopping_) {
    log_->Info("worker_ended", {{"worker", id}, {"how", how}});
  } else {
    log_->Warning("worker_ended", {{"worker", id}, {"how", how}, {"slot", absl::StrCat(slot)}});
  }
  return true;
}

void Supervisor::SignalAll(int signal) const {
  absl::MutexLock lock(&mutex_);
  for (const auto& [id, child] : live_) child->Signal(signal);
}

}  // namespace stockpot
