// InspectSource, VerifySoup and a part of CreateJob: one task outside any job, of whose fact the
// response is made. It may wait long for a worker; when the client goes away the call ends at once
// and the late result is dropped. Lifetime: owns itself until OnDone(); the engine's callback holds
// it too. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_TASK_CALL_H_
#define STOCKPOT_SERVER_CONTROL_RPC_TASK_CALL_H_

#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"

namespace stockpot {

class TaskCall final : public grpc::ServerUnaryReactor,
                       public std::enable_shared_from_this<TaskCall> {
 public:
  // Runs on an executor thread: it may read the store or a file.
  using MakeTask = std::function<absl::StatusOr<Task>()>;
  // Makes the response of a fact that is OK; run before the call ends, or never.
  using Respond = std::function<absl::Status(const Fact&)>;

  // `field`: the field of the request that a failure of the task is about; "": it is not said.
  explicit TaskCall(Respond respond, std::string field = "")
      : respond_(std::move(respond)), field_(std::move(field)) {}

  // `client`: for whom, in the engine's terms.
  void Start(const std::string& client, MakeTask make, Engine* engine, Executor* executor);

 private:
  void OnCancel() override;
  void OnDone() override { const std::shared_ptr<TaskCall> keep = std::move(self_); }
  // Once; later calls do nothing. `fact`: of the task, null where there was none.
  void End(const absl::Status& status, const Fact* fact);

  std::shared_ptr<TaskCall> self_;  // set by Start(), cleared by OnDone()
  absl::Mutex mutex_;
  const Respond respond_ ABSL_GUARDED_BY(mutex_);
  const std::string field_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_TASK_CALL_H_
