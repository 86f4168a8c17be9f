// Hears of what workers have counted: metrics. rpc/ knows no metrics library.
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORK_OBSERVER_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORK_OBSERVER_H_

#include <string>

#include "server/base/work_counters.h"

namespace stockpot {

class WorkObserver {
 public:
  virtual ~WorkObserver() = default;
  // `so_far`: since the worker's process began, as the worker says; not checked. Told in order for
  // each worker, before what comes with it in the same message is acted upon.
  virtual void WorkCounted(const std::string& worker_id, const WorkCounts& so_far) = 0;
  // Nothing more will come of it; the one in its place has another id.
  virtual void WorkerGone(const std::string& worker_id) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORK_OBSERVER_H_
