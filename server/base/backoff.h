// How long to wait before a process that ended is started again, or a lost connection is made
// again: not at all the first time, then twice as long each time up to a bound, with jitter so that
// many do not start at once. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_BACKOFF_H_
#define STOCKPOT_SERVER_BASE_BACKOFF_H_

#include "absl/time/time.h"

namespace stockpot {

struct Backoff {
  absl::Duration first = absl::Milliseconds(500);
  absl::Duration longest = absl::Seconds(30);
};

// `early_exits`: how many times in a row it ended soon after its start, at least 1. `jitter` in
// [0, 1] takes up to half of the delay away.
absl::Duration RestartDelay(const Backoff& backoff, int early_exits, double jitter);

// For `jitter`.
double RandomJitter();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_BACKOFF_H_
