// Follows a job to its end over lost connections: every event once and in order, because each new
// stream begins after the last sequence seen. Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_WATCH_H_
#define STOCKPOT_CLIENT_CLI_WATCH_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/connection.h"
#include "client/cli/environment.h"
#include "client/cli/watch_view.h"
#include "stockpot/v1/job.pb.h"

namespace stockpot::cli {

struct WatchOptions {
  absl::Duration reconnect_timeout = absl::Minutes(5);
  int64_t after_sequence = 0;  // shows what came after this event
};

// Gives the ended job. Errors: the server's; UNAVAILABLE when it stayed away for longer than the
// timeout; CANCELLED at Ctrl-C; DATA_LOSS when the server breaks its promise of gapless sequences.
absl::StatusOr<v1::Job> Watch(Connection& connection, Environment& environment,
                              const std::string& name, const WatchOptions& options,
                              WatchView& view);

// SUCCEEDED, FAILED or CANCELLED.
bool HasEnded(const v1::Job& job);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_WATCH_H_
