#include "server/base/work_counters.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace stockpot {

void WorkCounters::CountExamples(int64_t count) {
  absl::MutexLock lock(&mutex_);
  counts_.examples += count;
}

void WorkCounters::CountLookup(const std::string& cache, bool hit) {
  absl::MutexLock lock(&mutex_);
  CacheCounts& counts = counts_.caches[cache];
  ++(hit ? counts.hits : counts.misses);
}

void WorkCounters::CountDecoding(absl::Duration duration) {
  absl::MutexLock lock(&mutex_);
  // Negative where the clock was set back.
  counts_.decode_seconds += absl::ToDoubleSeconds(std::max(duration, absl::ZeroDuration()));
}

void WorkCounters::CountStorage(const std::string& scheme, const StorageCounts& more) {
  absl::MutexLock lock(&mutex_);
  StorageCounts& counts = counts_.storage[scheme];
  counts.requests += more.requests;
  counts.errors += more.errors;
  counts.bytes_read += more.bytes_read;
  counts.bytes_written += more.bytes_written;
}

void WorkCounters::SetMemory(DeviceMemory memory) {
  absl::MutexLock lock(&mutex_);
  counts_.memory = std::move(memory);
}

void WorkCounters::SetKeptCheckpointBytes(int64_t bytes) {
  absl::MutexLock lock(&mutex_);
  counts_.kept_checkpoint_bytes = bytes;
}

WorkCounters::Busy::Busy(WorkCounters* counters) : counters_(counters) {
  absl::MutexLock lock(&counters_->mutex_);
  counters_->busy_since_ = absl::Now();
}

WorkCounters::Busy::~Busy() {
  absl::MutexLock lock(&counters_->mutex_);
  const absl::Duration busy = absl::Now() - counters_->busy_since_;
  counters_->counts_.busy_seconds += absl::ToDoubleSeconds(std::max(busy, absl::ZeroDuration()));
  counters_->busy_since_ = absl::InfiniteFuture();
}

WorkCounts WorkCounters::Read() const {
  absl::MutexLock lock(&mutex_);
  WorkCounts counts = counts_;
  // A clock that was set back makes it none, and never less than it was.
  const absl::Duration busy = std::max(absl::Now() - busy_since_, absl::ZeroDuration());
  counts.busy_seconds += absl::ToDoubleSeconds(busy);
  return counts;
}

}  // namespace stockpot
