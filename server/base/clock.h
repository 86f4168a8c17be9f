// Time as a dependency, so that tests decide what time it is.
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_CLOCK_H_
#define STOCKPOT_SERVER_BASE_CLOCK_H_

#include "absl/time/time.h"

namespace stockpot {

class Clock {
 public:
  virtual ~Clock() = default;
  virtual absl::Time Now() = 0;
};

class SystemClock final : public Clock {
 public:
  absl::Time Now() override;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_CLOCK_H_
