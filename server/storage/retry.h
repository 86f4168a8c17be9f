// When a failed request is worth another try, and how long to wait before it: exponential backoff
// with jitter, so that a crowd of workers does not come back at once, or what the server asked for
// (Retry-After). Thread safety: Retries is confined to one thread.
#ifndef STOCKPOT_SERVER_STORAGE_RETRY_H_
#define STOCKPOT_SERVER_STORAGE_RETRY_H_

#include <functional>

#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/progress.h"

namespace stockpot {

// Waits for so long. Called with at most a second at a time; thread-safe.
using Sleep = std::function<void(absl::Duration)>;

struct RetryOptions {
  int most_failures = 6;  // in a row, without progress between them
  absl::Duration first_wait = absl::Milliseconds(500);
  absl::Duration most_wait = absl::Seconds(30);
  // A server that asks for more patience than this has its error given back, with what it asked.
  absl::Duration most_retry_after = absl::Minutes(2);
};

class Retries {
 public:
  Retries(RetryOptions options, Sleep sleep);

  // Called with what a try failed with, and whether it got something done. OK: waited, try again.
  // Else the error to give up with: `failure` itself, or what `keep_going` gave.
  absl::Status AfterFailure(const absl::Status& failure, bool made_progress,
                            const KeepGoing& keep_going);

 private:
  const RetryOptions options_;
  const Sleep sleep_;
  absl::BitGen random_;
  int failures_ = 0;
};

// Calls `attempt` until it succeeds or is given up.
absl::Status Retry(const RetryOptions& options, const Sleep& sleep, const KeepGoing& keep_going,
                   const std::function<absl::Status()>& attempt);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_RETRY_H_
