#include "server/worker/dataset/read_ahead.h"

#include <cstring>
#include <system_error>
#include <utility>

#include "server/base/parallel.h"

namespace stockpot {

ReadAhead::ReadAhead(std::vector<int64_t> order, size_t example_bytes, size_t slots, int threads,
                     Make make)
    : order_(std::move(order)),
      example_bytes_(example_bytes),
      slot_count_(slots),
      make_(std::move(make)),
      bytes_(slots * example_bytes),
      slots_(slots) {
  try {
    for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { MakeThem(); });
  } catch (const std::system_error&) {
  }
}

ReadAhead::~ReadAhead() {
  const absl::MutexLock lock(&mutex_);
  stops_ = true;
}

void ReadAhead::MakeThem() {
  mutex_.Lock();
  while (true) {
    mutex_.Await(absl::Condition(
        +[](ReadAhead* self) ABSL_NO_THREAD_SAFETY_ANALYSIS { return self->CanBegin(); }, this));
    if (stops_ || begun_ == order_.size()) break;
    const size_t position = begun_++;
    mutex_.Unlock();
    const absl::Status status = Guard([&] { return make_(order_[position], BytesOf(position)); });
    mutex_.Lock();
    slots_[position % slot_count_] = {true, status};
  }
  mutex_.Unlock();
}

absl::StatusOr<bool> ReadAhead::Take(int64_t example, char* to) {
  size_t position;
  {
    const absl::MutexLock lock(&mutex_);
    position = taken_;
    if (threads_.empty() || position == order_.size() || order_[position] != example) return false;
    mutex_.Await(absl::Condition(
        +[](ReadAhead* self) ABSL_NO_THREAD_SAFETY_ANALYSIS { return self->NextIsMade(); }, this));
    if (!slots_[position % slot_count_].status.ok()) return slots_[position % slot_count_].status;
  }
  std::memcpy(to, BytesOf(position), example_bytes_);
  const absl::MutexLock lock(&mutex_);
  slots_[position % slot_count_] = {};
  ++taken_;
  return true;
}

}  // namespace stockpot
