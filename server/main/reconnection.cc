#include "server/main/reconnection.h"

#include <string>

#include "server/base/status.h"

namespace stockpot {
namespace {

bool MayBeMendedByWaiting(const absl::Status& ended) {
  switch (ended.code()) {
    case absl::StatusCode::kOk:  // the server said shutdown
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kCancelled:
    case absl::StatusCode::kAborted:
    case absl::StatusCode::kDeadlineExceeded:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kUnknown:
      return true;
    case absl::StatusCode::kInternal:  // gRPC's, of a stream that broke
      return GetErrorFacts(ended).reason != "DEVICE_LOST";
    default:
      return false;
  }
}

}  // namespace

absl::Status KeepConnected(const Reconnection& options, Clock* clock, Log* log) {
  int failures = 0;
  while (!options.wait(absl::ZeroDuration())) {
    const absl::Time start = clock->Now();
    const absl::Status ended = options.session();
    if (options.wait(absl::ZeroDuration())) break;
    if (!MayBeMendedByWaiting(ended)) return ended;
    failures = clock->Now() - start >= options.healthy_after ? 1 : failures + 1;
    const absl::Duration delay = RestartDelay(options.backoff, failures + 1, options.jitter());
    log->Warning("disconnected", {{"because", ended.ok() ? "the server ended the session"
                                                         : std::string(ended.message())},
                                  {"again_in", absl::FormatDuration(delay)}});
    if (options.wait(delay)) break;
  }
  return absl::OkStatus();
}

}  // namespace stockpot
