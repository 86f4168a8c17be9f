#include "server/worker/session/assignment_desk.h"

#include <utility>

#include "server/base/status.h"

namespace stockpot {

absl::Status HandedBack() {
  return WithReason(absl::CancelledError("its worker is stopped"), "HANDED_BACK");
}

absl::Status AssignmentDesk::Put(worker::v1::Assignment assignment) {
  absl::MutexLock lock(&mutex_);
  if (waiting_.has_value()) {
    return absl::FailedPreconditionError("the server gave a second task while one was waiting");
  }
  waiting_ = std::move(assignment);
  return absl::OkStatus();
}

void AssignmentDesk::Cancel(const std::string& assignment_id) {
  absl::MutexLock lock(&mutex_);
  const bool waiting = waiting_.has_value() && waiting_->assignment_id() == assignment_id;
  if (waiting || running_.assignment_id() == assignment_id) cancelled_ = assignment_id;
}

void AssignmentDesk::Leave() {
  absl::MutexLock lock(&mutex_);
  leaving_ = true;
}

void AssignmentDesk::HandBack() {
  absl::MutexLock lock(&mutex_);
  handed_back_ = true;
}

void AssignmentDesk::Stop() {
  absl::MutexLock lock(&mutex_);
  stopped_ = true;
}

std::optional<worker::v1::Assignment> AssignmentDesk::Take() {
  absl::MutexLock lock(&mutex_);
  const auto ready = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stopped_ || waiting_.has_value();
  };
  mutex_.Await(absl::Condition(&ready));
  if (stopped_) return std::nullopt;
  running_.set_assignment_id(waiting_->assignment_id());
  return std::exchange(waiting_, std::nullopt);
}

absl::Status AssignmentDesk::KeepGoing(int64_t done, int64_t total) {
  absl::MutexLock lock(&mutex_);
  if (stopped_ || cancelled_ == running_.assignment_id()) {
    return absl::CancelledError("the server gave up the task");
  }
  if (handed_back_) return HandedBack();
  running_.set_examples_done(done);
  running_.set_examples_total(total);
  return absl::OkStatus();
}

void AssignmentDesk::Finish() {
  absl::MutexLock lock(&mutex_);
  running_.Clear();
}

std::optional<worker::v1::Progress> AssignmentDesk::CurrentProgress() const {
  absl::MutexLock lock(&mutex_);
  if (running_.assignment_id().empty()) return std::nullopt;
  return running_;
}

bool AssignmentDesk::WaitForLeave() const {
  absl::MutexLock lock(&mutex_);
  const auto over = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return leaving_ || stopped_; };
  mutex_.Await(absl::Condition(&over));
  return !stopped_;
}

bool AssignmentDesk::WaitForStop(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  return mutex_.AwaitWithTimeout(absl::Condition(&stopped_), duration);
}

bool AssignmentDesk::WaitUntilIdle(absl::Duration duration) const {
  absl::MutexLock lock(&mutex_);
  const auto idle = [this]() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return running_.assignment_id().empty();
  };
  return mutex_.AwaitWithTimeout(absl::Condition(&idle), duration);
}

}  // namespace stockpot
