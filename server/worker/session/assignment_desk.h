// Where the reading thread puts a task and the task thread takes it, with what both must know of
// it: whether it is cancelled or handed back, and how far it is.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_ASSIGNMENT_DESK_H_
#define STOCKPOT_SERVER_WORKER_SESSION_ASSIGNMENT_DESK_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// CANCELLED, reason HANDED_BACK: it says nothing of the task.
absl::Status HandedBack();

class AssignmentDesk {
 public:
  // FAILED_PRECONDITION when one is waiting already: the server gives at most one at a time.
  absl::Status Put(worker::v1::Assignment assignment) ABSL_LOCKS_EXCLUDED(mutex_);
  // Nothing happens when the assignment is not the waiting or running one.
  void Cancel(const std::string& assignment_id) ABSL_LOCKS_EXCLUDED(mutex_);
  // The worker is asked to end: wakes WaitForLeave().
  void Leave() ABSL_LOCKS_EXCLUDED(mutex_);
  // Cancels what runs or comes, for another worker to do.
  void HandBack() ABSL_LOCKS_EXCLUDED(mutex_);
  // Cancels what runs and ends every wait.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // Waits for the next assignment, which then runs; nothing after Stop().
  std::optional<worker::v1::Assignment> Take() ABSL_LOCKS_EXCLUDED(mutex_);
  // CANCELLED when the running task is to be given up; HandedBack() when that is for another
  // worker.
  absl::Status KeepGoing(int64_t done, int64_t total) ABSL_LOCKS_EXCLUDED(mutex_);
  // The running task is over.
  void Finish() ABSL_LOCKS_EXCLUDED(mutex_);

  // How far the running task is; nothing when none runs.
  std::optional<worker::v1::Progress> CurrentProgress() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until Leave(): true; or until Stop(): false.
  bool WaitForLeave() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until Stop() or for `duration`; true when stopped.
  bool WaitForStop(absl::Duration duration) const ABSL_LOCKS_EXCLUDED(mutex_);
  // Waits until no task runs, at most `duration`; true when none does.
  bool WaitUntilIdle(absl::Duration duration) const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  bool leaving_ ABSL_GUARDED_BY(mutex_) = false;
  bool handed_back_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<worker::v1::Assignment> waiting_ ABSL_GUARDED_BY(mutex_);
  std::string cancelled_ ABSL_GUARDED_BY(mutex_);  // assignment id
  // assignment_id is empty when none runs.
  worker::v1::Progress running_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_ASSIGNMENT_DESK_H_
