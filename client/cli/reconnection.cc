#include "client/cli/reconnection.h"

#include <algorithm>
#include <cmath>

#include "client/cli/errors.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

constexpr absl::Duration kFirstDelay = absl::Milliseconds(250);
constexpr absl::Duration kLongestDelay = absl::Seconds(15);

}  // namespace

Reconnection::Reconnection(Environment& environment, absl::Duration timeout)
    : environment_(environment), timeout_(timeout), random_(std::random_device{}()) {}

bool Reconnection::ShouldRetry(const absl::Status& failure) {
  if (!absl::IsUnavailable(failure) || environment_.interruption.triggered()) return false;
  if (attempts_ == 0) {
    outage_began_ = environment_.now();
    environment_.error << "connection lost (" << Printable(std::string(failure.message()))
                       << "); trying again for up to " << absl::FormatDuration(timeout_) << "\n";
  }
  const absl::Duration left = timeout_ - (environment_.now() - outage_began_);
  if (left <= absl::ZeroDuration()) return false;
  const absl::Duration longest =
      std::min(kLongestDelay, kFirstDelay * std::exp2(std::min(attempts_, 10)));
  const absl::Duration delay = longest * std::uniform_real_distribution<>(0.5, 1.0)(random_);
  ++attempts_;
  return environment_.wait(std::min(std::max(delay, RetryDelay(failure)), left));
}

}  // namespace stockpot::cli
