#include "server/storage/retry.h"

#include <algorithm>
#include <utility>

#include "server/base/status.h"

namespace stockpot {
namespace {

// Often enough that a cancelled task ends soon.
constexpr absl::Duration kSlice = absl::Milliseconds(200);

absl::Status Wait(absl::Duration duration, const Sleep& sleep, const KeepGoing& keep_going) {
  while (duration > absl::ZeroDuration()) {
    RETURN_IF_ERROR(keep_going());
    const absl::Duration slice = std::min(duration, kSlice);
    sleep(slice);
    duration -= slice;
  }
  return keep_going();
}

}  // namespace

Retries::Retries(RetryOptions options, Sleep sleep) : options_(options), sleep_(std::move(sleep)) {}

absl::Status Retries::AfterFailure(const absl::Status& failure, bool made_progress,
                                   const KeepGoing& keep_going) {
  const bool is_worth_it =
      absl::IsUnavailable(failure) || GetErrorFacts(failure).reason == "SOURCE_DAMAGED";
  if (!is_worth_it) return failure;
  failures_ = made_progress ? 1 : failures_ + 1;
  const absl::Duration asked = GetErrorFacts(failure).retry_after;
  if (failures_ >= options_.most_failures || asked > options_.most_retry_after) return failure;
  const absl::Duration backoff =
      std::min(options_.first_wait * (1 << std::min(failures_ - 1, 20)), options_.most_wait);
  // From half of it to all of it.
  const absl::Duration wait = backoff * absl::Uniform(random_, 0.5, 1.0);
  return Wait(std::max(wait, asked), sleep_, keep_going);
}

absl::Status Retry(const RetryOptions& options, const Sleep& sleep, const KeepGoing& keep_going,
                   const std::function<absl::Status()>& attempt) {
  Retries retries(options, sleep);
  while (true) {
    const absl::Status status = attempt();
    if (status.ok()) return status;
    RETURN_IF_ERROR(retries.AfterFailure(status, /*made_progress=*/false, keep_going));
  }
}

}  // namespace stockpot
