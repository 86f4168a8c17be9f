// Calls into a library that knows neither deadlines nor callers who give up. Each runs on a thread
// of its own; who waits for one too long leaves it behind. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_BOUNDED_CALLS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_BOUNDED_CALLS_H_

#include <atomic>
#include <functional>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/progress.h"

namespace stockpot {

class BoundedCalls {
 public:
  // Gives what `call` gives. `call` owns all that it touches: it may outlive this function, and
  // this object. Errors: UNAVAILABLE (reason SOURCE_UNAVAILABLE): it took longer than `timeout`;
  // what `keep_going` gave; RESOURCE_EXHAUSTED: no thread.
  absl::Status Run(absl::Duration timeout, const KeepGoing& keep_going,
                   std::function<absl::Status()> call) const;

  // Calls that nobody waits for any more, and that have not ended.
  int left_behind() const { return *left_behind_; }

 private:
  const std::shared_ptr<std::atomic<int>> left_behind_ = std::make_shared<std::atomic<int>>(0);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_BOUNDED_CALLS_H_
