#include "server/control/rpc/task_call.h"

#include "server/control/rpc/error_translation.h"

namespace stockpot {

void TaskCall::Start(MakeTask make, Engine* engine, Executor* executor) {
  self_ = shared_from_this();
  // On another thread, since gRPC has this call only when the method has returned.
  executor->Run([call = self_, engine, make = std::move(make)] {
    const absl::StatusOr<Task> task = make();
    if (!task.ok()) return call->End(task.status(), nullptr);
    engine->RunTask(*task, [call](const Fact& fact) { call->End(fact.status, &fact); });
  });
}

void TaskCall::OnCancel() { End(absl::CancelledError("the client went away"), nullptr); }

void TaskCall::End(const absl::Status& status, const Fact* fact) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(ended_, true)) return;
  Finish(ToGrpcStatus(status.ok() && fact != nullptr ? respond_(*fact) : status));
}

}  // namespace stockpot
