// When to try again after a lost connection: exponential backoff with jitter, one note for each
// outage, and an end to it. Thread safety: confined to the thread that runs the command.
//
//   do { status = Attempt(); } while (reconnection.ShouldRetry(status));
#ifndef STOCKPOT_CLIENT_CLI_RECONNECTION_H_
#define STOCKPOT_CLIENT_CLI_RECONNECTION_H_

#include <random>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "client/cli/environment.h"

namespace stockpot::cli {

class Reconnection {
 public:
  // Gives up when an outage lasts longer than `timeout`. `environment` must outlive it.
  Reconnection(Environment& environment, absl::Duration timeout);

  // Something arrived: the next failure is a new outage.
  void Succeeded() { attempts_ = 0; }

  // Waits before the next attempt and gives true; false at once when the failure does not pass by
  // itself (all but UNAVAILABLE), when the outage lasts too long, or at Ctrl-C.
  bool ShouldRetry(const absl::Status& failure);

 private:
  Environment& environment_;
  const absl::Duration timeout_;
  std::minstd_rand random_;
  int attempts_ = 0;  // of this outage
  absl::Time outage_began_;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_RECONNECTION_H_
