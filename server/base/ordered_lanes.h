// Work that is made on several threads at once and taken in order, by one thread at a time.
//
// Thread safety: as said at each function.
#ifndef STOCKPOT_SERVER_BASE_ORDERED_LANES_H_
#define STOCKPOT_SERVER_BASE_ORDERED_LANES_H_

#include <cstddef>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"

namespace stockpot {

// Pieces 0, 1, … `count` - 1, of which each is begun, made and taken. What is not OK ends the run
// once all before it are taken: the result does not depend on which thread was first.
class OrderedLanes {
 public:
  // All must outlive this. `begin` and `take` are called in order, one call at a time, of either;
  // `make` on several threads at once.
  struct Steps {
    absl::FunctionRef<absl::Status(size_t piece)> begin, make, take;
  };

  // At most `window` pieces are begun and not taken yet: of a piece and the one `window` after it
  // only one is alive.
  OrderedLanes(size_t count, size_t window, const Steps& steps)
      : steps_(steps), made_(window), end_(count) {}

  // Works until no piece is left to begin. Every lane calls it, each on a thread of its own.
  // Thread-safe.
  void Work() ABSL_LOCKS_EXCLUDED(mutex_);

  // Of the first piece that was not OK. Once all lanes are back.
  absl::Status result() const ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // The piece; none: there is none left.
  std::optional<size_t> Begin() ABSL_LOCKS_EXCLUDED(mutex_);
  void End(size_t piece, absl::Status status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Notes how a piece ended, and takes all that are next.
  void Take(size_t piece, absl::Status status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayBegin() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return begun_ == end_ || begun_ < taken_ + made_.size();
  }

  const Steps steps_;
  mutable absl::Mutex mutex_;
  // Of the pieces from taken_ on, each at its number modulo the window; none: not made yet.
  std::vector<std::optional<absl::Status>> made_ ABSL_GUARDED_BY(mutex_);
  size_t begun_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t taken_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t end_ ABSL_GUARDED_BY(mutex_);  // no piece from here on is begun
  absl::Status result_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_ORDERED_LANES_H_
