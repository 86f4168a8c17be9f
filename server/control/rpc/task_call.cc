#include "server/control/rpc/task_call.h"

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"

namespace stockpot {
namespace {

absl::Status OfField(const std::string& field, const absl::Status& status) {
  if (field.empty()) return status;
  ErrorFacts facts = GetErrorFacts(status);
  facts.violations = {{field, std::string(status.message())}};
  return WithFacts(absl::Status(status.code(), absl::StrCat(field, ": ", status.message())), facts);
}

}  // namespace

void TaskCall::Start(const std::string& client, MakeTask make, Engine* engine, Executor* executor) {
  self_ = shared_from_this();
  // On another thread, since gRPC has this call only when the method has returned.
  executor->Run([call = self_, client, engine, make = std::move(make)] {
    const absl::StatusOr<Task> task = make();
    if (!task.ok()) return call->End(task.status(), nullptr);
    engine->RunTask(*task, client, [call](const Fact& fact) { call->End(fact.status, &fact); });
  });
}

void TaskCall::OnCancel() { End(absl::CancelledError("the client went away"), nullptr); }

void TaskCall::End(const absl::Status& status, const Fact* fact) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(ended_, true)) return;
  if (fact == nullptr) return Finish(ToGrpcStatus(status));
  Finish(ToGrpcStatus(status.ok() ? respond_(*fact) : OfField(field_, status)));
}

}  // namespace stockpot
