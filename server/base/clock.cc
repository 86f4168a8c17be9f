#include "server/base/clock.h"

#include "absl/time/clock.h"

namespace stockpot {

absl::Time SystemClock::Now() { return absl::Now(); }

}  // namespace stockpot
