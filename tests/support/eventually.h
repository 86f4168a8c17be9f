// Waits for what another process or thread does. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_TESTS_SUPPORT_EVENTUALLY_H_
#define STOCKPOT_TESTS_SUPPORT_EVENTUALLY_H_

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace stockpot {

// Whether it holds within the time: asked again every 20 ms.
inline bool Eventually(const std::function<bool()>& holds,
                       absl::Duration within = absl::Minutes(2)) {
  const absl::Time deadline = absl::Now() + within;
  while (!holds()) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(20));
  }
  return true;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_EVENTUALLY_H_
