// A few threads that run what may block on the store, so that gRPC's own threads never do and the
// engine's callbacks return at once. What waits is bounded by the calls in progress: every call has
// at most one function queued.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_EXECUTOR_H_
#define STOCKPOT_SERVER_CONTROL_RPC_EXECUTOR_H_

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace stockpot {

class Executor {
 public:
  explicit Executor(int thread_count);
  // Runs what is queued, then ends the threads. Nothing may be run from then on.
  ~Executor();
  Executor(const Executor&) = delete;
  Executor& operator=(const Executor&) = delete;

  void Run(std::function<void()> function);

 private:
  void Loop();

  absl::Mutex mutex_;
  std::deque<std::function<void()>> queue_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;  // constant after construction
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_EXECUTOR_H_
