#include "server/storage/object_store/bounded_calls.h"

#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "server/base/parallel.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Often enough that a cancelled task ends soon.
constexpr absl::Duration kAskEvery = absl::Milliseconds(100);

// What the two threads share.
struct SharedCall {
  absl::Mutex mutex;
  bool done ABSL_GUARDED_BY(mutex) = false;
  bool is_left_behind ABSL_GUARDED_BY(mutex) = false;
  absl::Status status ABSL_GUARDED_BY(mutex);
};

bool IsDone(SharedCall* call) ABSL_NO_THREAD_SAFETY_ANALYSIS { return call->done; }

void RunShared(const std::shared_ptr<SharedCall>& shared, std::function<absl::Status()> call,
               const std::shared_ptr<std::atomic<int>>& left_behind) {
  absl::Status status = Guard(call);
  call = nullptr;  // what it holds goes before anybody is told
  absl::MutexLock lock(&shared->mutex);
  shared->status = std::move(status);
  shared->done = true;
  if (shared->is_left_behind) --*left_behind;
}

}  // namespace

absl::Status BoundedCalls::Run(absl::Duration timeout, const KeepGoing& keep_going,
                               std::function<absl::Status()> call) const {
  const auto shared = std::make_shared<SharedCall>();
  RETURN_IF_ERROR(Guard([&] {
    std::thread(RunShared, shared, std::move(call), left_behind_).detach();
    return absl::OkStatus();
  }));
  const absl::Time deadline = absl::Now() + timeout;
  absl::Status why;
  while (why.ok()) {
    {
      absl::MutexLock lock(&shared->mutex);
      if (shared->mutex.AwaitWithTimeout(absl::Condition(&IsDone, shared.get()), kAskEvery)) {
        return shared->status;
      }
    }
    why = keep_going();
    if (why.ok() && absl::Now() > deadline) {
      why =
          WithReason(absl::UnavailableError(absl::StrCat("no answer, or bytes too slowly, within ",
                                                         absl::FormatDuration(timeout))),
                     "SOURCE_UNAVAILABLE");
    }
  }
  absl::MutexLock lock(&shared->mutex);
  if (!shared->done) {
    shared->is_left_behind = true;
    ++*left_behind_;
  }
  return why;
}

}  // namespace stockpot
