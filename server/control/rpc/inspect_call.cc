#include "server/control/rpc/inspect_call.h"

#include <random>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/json_mapping.h"

namespace stockpot {
namespace {

// Inspections are never reused: what a name stands for may have changed.
std::string FreshScope() {
  std::random_device random;
  return absl::StrCat("inspect/", absl::Hex(random()), absl::Hex(random()));
}

absl::Status AtField(const absl::Status& status, const std::string& field) {
  if (status.ok()) return status;
  ErrorFacts facts;
  facts.violations.push_back({field, std::string(status.message())});
  return WithFacts(Annotate(status, field), facts);
}

absl::StatusOr<Task> ToTask(const v1::InspectSourceRequest& request, const AllowList& allowed) {
  const std::string scope = FreshScope();
  switch (request.source_case()) {
    case v1::InspectSourceRequest::kCheckpointUri:
      RETURN_IF_ERROR(
          AtField(allowed.CheckData(request.checkpoint_uri()).status(), "checkpoint_uri"));
      return InspectCheckpointTask(scope, request.checkpoint_uri());
    case v1::InspectSourceRequest::kArchitectureUri:
      RETURN_IF_ERROR(AtField(allowed.CheckArchitecture(request.architecture_uri()).status(),
                              "architecture_uri"));
      return InspectArchitectureTask(scope, request.architecture_uri());
    case v1::InspectSourceRequest::kDataSet: {
      ASSIGN_OR_RETURN(const std::string text, MessageToJson(request.data_set()));
      ASSIGN_OR_RETURN(const Json json, ParseJson(text));
      ASSIGN_OR_RETURN(const DataSetSpec data_set, ParseDataSetSpec(json, "data_set"));
      RETURN_IF_ERROR(AtField(allowed.CheckData(data_set.uri).status(), "data_set.uri"));
      return InspectDataSetTask(scope, data_set);
    }
    case v1::InspectSourceRequest::SOURCE_NOT_SET:
      break;
  }
  return InvalidField("source", "give checkpoint_uri, architecture_uri or data_set");
}

}  // namespace

void InspectCall::Start(const v1::InspectSourceRequest& request, Engine* engine,
                        const AllowList& allowed, Executor* executor) {
  self_ = shared_from_this();
  absl::StatusOr<Task> task = ToTask(request, allowed);
  // On another thread, since gRPC has this call only when the method has returned.
  executor->Run([call = self_, engine, task = std::move(task)] {
    if (!task.ok()) return call->End(task.status(), nullptr);
    engine->RunTask(*task, [call](const Fact& fact) { call->End(fact.status, &fact); });
  });
}

void InspectCall::OnCancel() { End(absl::CancelledError("the client went away"), nullptr); }

void InspectCall::End(const absl::Status& status, const Fact* fact) {
  absl::MutexLock lock(&mutex_);
  if (std::exchange(ended_, true)) return;
  absl::Status result = status;
  if (result.ok() && fact != nullptr) {
    // TaskResult and InspectSourceResponse have the same members for what can be inspected.
    result = JsonToMessage(DumpJson(fact->result), response_);
  }
  Finish(ToGrpcStatus(result));
}

}  // namespace stockpot
