#include "server/control/rpc/inspect_source.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/random_id.h"
#include "server/base/status.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/json_mapping.h"
#include "server/control/rpc/new_job_checks.h"

namespace stockpot {
namespace {

constexpr int kMostPictures = 64;

absl::Status AtField(const absl::Status& status, const std::string& field) {
  if (status.ok()) return status;
  ErrorFacts facts;
  facts.violations.push_back({field, std::string(status.message())});
  return WithFacts(Annotate(status, field), facts);
}

absl::StatusOr<Task> InspectCheckpoint(const std::string& scope,
                                       const v1::InspectSourceRequest& request) {
  ASSIGN_OR_RETURN(const std::string text, MessageToJson(request));
  ASSIGN_OR_RETURN(const Json json, ParseJson(text));
  JsonReader reader(json, "");
  CheckpointReadingSpec reading;
  ReadNaming(reader, "state_dict_key", "tensor_renames", &reading.state_dict_key, &reading.renames);
  RETURN_IF_ERROR(reader.status());
  reading.adapter_base.uri = request.base_uri();
  return InspectCheckpointTask(scope, request.checkpoint_uri(), reading);
}

}  // namespace

absl::StatusOr<Task> InspectTask(const v1::InspectSourceRequest& request,
                                 const AllowList& allowed) {
  // Never reused: what a name stands for may have changed.
  const std::string scope = absl::StrCat("inspect/", RandomId());
  switch (request.source_case()) {
    case v1::InspectSourceRequest::kCheckpointUri:
      RETURN_IF_ERROR(
          AtField(allowed.CheckData(request.checkpoint_uri()).status(), "checkpoint_uri"));
      if (!request.base_uri().empty()) {
        RETURN_IF_ERROR(AtField(allowed.CheckData(request.base_uri()).status(), "base_uri"));
      }
      return InspectCheckpoint(scope, request);
    case v1::InspectSourceRequest::kArchitectureUri:
      RETURN_IF_ERROR(AtField(allowed.CheckArchitecture(request.architecture_uri()).status(),
                              "architecture_uri"));
      return InspectArchitectureTask(scope, request.architecture_uri());
    case v1::InspectSourceRequest::kDataSet: {
      ASSIGN_OR_RETURN(const std::string text, MessageToJson(request.data_set()));
      ASSIGN_OR_RETURN(const Json json, ParseJson(text));
      ASSIGN_OR_RETURN(const DataSetSpec data_set, ParseDataSetSpec(json, "data_set"));
      RETURN_IF_ERROR(AtField(CheckDataSetUris(request.data_set(), allowed), "data_set.uri"));
      if (request.picture_count() < 0 || request.picture_count() > kMostPictures) {
        return InvalidField("picture_count", absl::StrCat("must be from 0 to ", kMostPictures));
      }
      return InspectDataSetTask(scope, data_set, request.picture_count());
    }
    case v1::InspectSourceRequest::SOURCE_NOT_SET:
      break;
  }
  return InvalidField("source", "give checkpoint_uri, architecture_uri or data_set");
}

absl::Status ReadInspection(const Fact& fact, v1::InspectSourceResponse* response) {
  // TaskResult and InspectSourceResponse have the same members for what can be inspected.
  return JsonToMessage(DumpJson(fact.result), response);
}

}  // namespace stockpot
