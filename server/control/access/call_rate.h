// How many calls a client may make: a bucket of tokens for each, which fills at the rate and holds
// ten seconds' worth. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_ACCESS_CALL_RATE_H_
#define STOCKPOT_SERVER_CONTROL_ACCESS_CALL_RATE_H_

#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"

namespace stockpot {

class CallRate {
 public:
  // `per_second`: 0 is no limit. `clock` must outlive it.
  CallRate(double per_second, Clock* clock) : per_second_(per_second), clock_(clock) {}

  // Takes one. Errors: RESOURCE_EXHAUSTED, reason TOO_MANY_CALLS, with when to try again.
  absl::Status Take(const std::string& client);

 private:
  struct Bucket {
    double tokens;
    absl::Time filled_at;
  };
  void ForgetFull(absl::Time now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  double TokensAt(const Bucket& bucket, absl::Time now) const;
  double most() const;

  const double per_second_;
  Clock* const clock_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Bucket> buckets_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_ACCESS_CALL_RATE_H_
