// A worker on another machine outlives its server: when a session ends it dials again, later each
// time. What waiting does not mend (credentials, releases, folders that are not the server's, a
// device that was lost) ends it: whoever started the process may start it again.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_MAIN_RECONNECTION_H_
#define STOCKPOT_SERVER_MAIN_RECONNECTION_H_

#include <functional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/backoff.h"
#include "server/base/clock.h"
#include "server/base/log.h"

namespace stockpot {

struct Reconnection {
  Backoff backoff = {absl::Seconds(1), absl::Seconds(30)};
  // A session that lasted so long was healthy: what failed before it counts no more.
  absl::Duration healthy_after = absl::Seconds(60);
  // Runs one session to its end.
  std::function<absl::Status()> session;
  // Waits for at most so long. True: the process is to end.
  std::function<bool(absl::Duration)> wait;
  std::function<double()> jitter = RandomJitter;  // in [0, 1]
};

// OK: asked to end. Else what ended a session for good. Both must outlive the call.
absl::Status KeepConnected(const Reconnection& options, Clock* clock, Log* log);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_RECONNECTION_H_
