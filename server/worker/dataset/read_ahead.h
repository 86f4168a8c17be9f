// Examples that are made on several cores before they are asked for, in a known order, into memory
// that does not grow. Thread safety: confined to one thread; the others are its own.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_READ_AHEAD_H_
#define STOCKPOT_SERVER_WORKER_DATASET_READ_AHEAD_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace stockpot {

class ReadAhead {
 public:
  // Writes an example's bytes to `to`. Called concurrently.
  using Make = std::function<absl::Status(int64_t example, char* to)>;

  // At most `slots` (>= 1) examples are there at once, those being made included. A system that
  // gives no threads makes nothing ahead.
  ReadAhead(std::vector<int64_t> order, size_t example_bytes, size_t slots, int threads, Make make);
  // Waits for what is being made.
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  // Copies `example` to `to` once it is made. False: it is not the next one of the order, or nobody
  // makes it; make it yourself. Errors: of `make`.
  absl::StatusOr<bool> Take(int64_t example, char* to);

 private:
  struct Slot {
    bool is_made = false;
    absl::Status status;
  };

  void MakeThem();
  bool CanBegin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return stops_ || begun_ == order_.size() || begun_ < taken_ + slots_.size();
  }
  bool NextIsMade() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return slots_[taken_ % slots_.size()].is_made;
  }
  char* BytesOf(size_t position) { return bytes_.data() + position % slot_count_ * example_bytes_; }

  const std::vector<int64_t> order_;
  const size_t example_bytes_, slot_count_;
  const Make make_;
  std::vector<char> bytes_;  // of a slot: whoever makes it, then whoever takes it
  absl::Mutex mutex_;
  std::vector<Slot> slots_ ABSL_GUARDED_BY(mutex_);  // position p of the order is in slot p % count
  size_t begun_ ABSL_GUARDED_BY(mutex_) = 0, taken_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stops_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::jthread> threads_;  // last: they use all else
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_READ_AHEAD_H_
