#include "server/base/backoff.h"

#include <algorithm>
#include <random>

namespace stockpot {

absl::Duration RestartDelay(const Backoff& backoff, int early_exits, double jitter) {
  if (early_exits <= 1) return absl::ZeroDuration();
  absl::Duration delay = backoff.first;
  for (int i = 2; i < early_exits && delay < backoff.longest; ++i) delay *= 2;
  return std::min(delay, backoff.longest) * (1.0 - 0.5 * jitter);
}

double RandomJitter() {
  std::random_device random;
  return static_cast<double>(random()) / static_cast<double>(std::random_device::max());
}

}  // namespace stockpot
