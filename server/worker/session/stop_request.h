// That the process is to end, told by a signal's thread to whoever works.
//
//   stop.Set();                                   // from any thread, more than once
//   stop.Listen([&] { … });                       // called once when it is set, or at once
//   if (stop.WaitFor(absl::Seconds(5))) return;   // asked to end
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_STOP_REQUEST_H_
#define STOCKPOT_SERVER_WORKER_SESSION_STOP_REQUEST_H_

#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"

namespace stockpot {

class StopRequest {
 public:
  void Set() {
    absl::MutexLock lock(&mutex_);
    if (is_set_) return;
    is_set_ = true;
    if (listener_) listener_();
  }

  bool IsSet() const {
    absl::MutexLock lock(&mutex_);
    return is_set_;
  }

  // In place of the one before; null: nobody. It is called with a lock held and must not call back;
  // one that was replaced is not running any more.
  void Listen(std::function<void()> listener) {
    absl::MutexLock lock(&mutex_);
    listener_ = std::move(listener);
    if (is_set_ && listener_) listener_();
  }

  // True when it is set, at the latest after `duration`.
  bool WaitFor(absl::Duration duration) const {
    absl::MutexLock lock(&mutex_);
    return mutex_.AwaitWithTimeout(absl::Condition(&is_set_), duration);
  }

 private:
  mutable absl::Mutex mutex_;
  bool is_set_ ABSL_GUARDED_BY(mutex_) = false;
  std::function<void()> listener_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_STOP_REQUEST_H_
