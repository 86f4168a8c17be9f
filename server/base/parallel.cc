#include "server/base/parallel.h"

#include <algorithm>
#include <atomic>
#include <exception>
#include <new>
#include <system_error>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Indexes are handed out in order, so when one fails all smaller ones have been begun, and are
// finished before the error is read.
class Loop {
 public:
  Loop(size_t count, const std::function<absl::Status(size_t)>& body, const Progress& progress)
      : count_(count), body_(body), progress_(progress), failed_index_(count) {}

  void Run() {
    while (!failed_) {
      const size_t i = next_++;
      if (i >= count_) return;
      const absl::Status status = Guard([&] { return body_(i); });
      const absl::MutexLock lock(&mutex_);
      if (!status.ok()) {
        Fail(i, status);
      } else if (const absl::Status told = TellProgress(); !told.ok()) {
        Fail(0, told);  // before any error of the work
      }
    }
  }

  absl::Status status() {
    const absl::MutexLock lock(&mutex_);
    return status_;
  }

 private:
  absl::Status TellProgress() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ++done_;
    return progress_(static_cast<int64_t>(done_), static_cast<int64_t>(count_));
  }

  void Fail(size_t i, const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    failed_ = true;
    if (i >= failed_index_) return;
    failed_index_ = i;
    status_ = status;
  }

  const size_t count_;
  const std::function<absl::Status(size_t)>& body_;
  const Progress& progress_;
  std::atomic<size_t> next_ = 0;
  std::atomic<bool> failed_ = false;
  absl::Mutex mutex_;
  size_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t failed_index_ ABSL_GUARDED_BY(mutex_);
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::Status Guard(const std::function<absl::Status()>& body) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return WithReason(absl::ResourceExhaustedError("out of memory"), "OUT_OF_MEMORY");
  } catch (const std::system_error& error) {
    return absl::ResourceExhaustedError(absl::StrCat("the system refused: ", error.what()));
  } catch (const std::exception& error) {
    return absl::InternalError(error.what());
  }
}

int CoreCount() { return static_cast<int>(std::max(1u, std::thread::hardware_concurrency())); }

void OnThreads(int count, const std::function<void()>& work) {
  std::vector<std::jthread> others;
  try {
    while (static_cast<int>(others.size()) + 1 < count) others.emplace_back([&work] { work(); });
  } catch (const std::system_error&) {
  }
  work();
}

absl::Status ForEachInParallel(size_t count, const std::function<absl::Status(size_t)>& body,
                               const Progress& progress, int threads_asked) {
  Loop loop(count, body, progress);
  const size_t threads = static_cast<size_t>(threads_asked > 0 ? threads_asked : CoreCount());
  OnThreads(static_cast<int>(std::min(count, threads)), [&loop] { loop.Run(); });
  return loop.status();
}

}  // namespace stockpot
