// A clock that stands still until a test moves it. Thread safety: thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_CLOCK_H_
#define STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_CLOCK_H_

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/clock.h"

namespace stockpot {

class FakeClock final : public Clock {
 public:
  absl::Time Now() override {
    absl::MutexLock hold(&mutex_);
    return now_;
  }
  void Advance(absl::Duration duration) {
    absl::MutexLock hold(&mutex_);
    now_ += duration;
  }

 private:
  absl::Mutex mutex_;
  absl::Time now_ ABSL_GUARDED_BY(mutex_) = absl::FromUnixSeconds(1700000000);
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAKES_FAKE_CLOCK_H_
