#include "server/control/access/call_rate.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr double kSecondsHeld = 10;
// Who names clients at will makes no more buckets than this: those that are full say nothing.
constexpr size_t kMostBuckets = 10'000;

}  // namespace

double CallRate::most() const { return std::max(1.0, per_second_ * kSecondsHeld); }

double CallRate::TokensAt(const Bucket& bucket, absl::Time now) const {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - bucket.filled_at));
  return std::min(most(), bucket.tokens + seconds * per_second_);
}

void CallRate::ForgetFull(absl::Time now) {
  absl::erase_if(buckets_,
                 [&](const auto& entry) { return TokensAt(entry.second, now) >= most(); });
  if (buckets_.size() >= kMostBuckets) buckets_.clear();
}

absl::Status CallRate::Take(const std::string& client) {
  if (per_second_ <= 0) return absl::OkStatus();
  const absl::Time now = clock_->Now();
  absl::MutexLock lock(&mutex_);
  if (buckets_.size() >= kMostBuckets) ForgetFull(now);
  Bucket& bucket = buckets_.try_emplace(client, Bucket{most(), now}).first->second;
  bucket = {TokensAt(bucket, now), now};
  if (bucket.tokens >= 1) {
    bucket.tokens -= 1;
    return absl::OkStatus();
  }
  ErrorFacts facts;
  facts.reason = "TOO_MANY_CALLS";
  facts.retry_after = absl::Seconds((1 - bucket.tokens) / per_second_);
  return WithFacts(
      absl::ResourceExhaustedError(absl::StrCat("more than ", per_second_,
                                                " calls a second: this server's limit for a "
                                                "client")),
      facts);
}

}  // namespace stockpot
