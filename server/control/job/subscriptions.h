// Who wants to hear that a job may have changed. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_JOB_SUBSCRIPTIONS_H_
#define STOCKPOT_SERVER_CONTROL_JOB_SUBSCRIPTIONS_H_

#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/engine.h"

namespace stockpot {

class Subscriptions {
 public:
  // The handle may outlive this object. It must not be destroyed from within `changed`.
  std::unique_ptr<Engine::Subscription> Add(const std::string& job, std::function<void()> changed);
  void Notify(const std::string& job);

 private:
  struct Entry {
    absl::Mutex mutex;  // held during a call
    std::function<void()> changed ABSL_GUARDED_BY(mutex);
  };
  struct Table {
    absl::Mutex mutex;
    std::map<std::string, std::set<std::shared_ptr<Entry>>> by_job ABSL_GUARDED_BY(mutex);
  };
  class Handle;

  const std::shared_ptr<Table> table_ = std::make_shared<Table>();
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_JOB_SUBSCRIPTIONS_H_
