// InspectSource in terms of tasks: a request to the task that answers it, its fact to the response.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_INSPECT_SOURCE_H_
#define STOCKPOT_SERVER_CONTROL_RPC_INSPECT_SOURCE_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/recipe/task.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// Errors: as the rpc's, before a worker looks at the source.
absl::StatusOr<Task> InspectTask(const v1::InspectSourceRequest& request, const AllowList& allowed);

// Errors: INTERNAL, the fact is of another task.
absl::Status ReadInspection(const Fact& fact, v1::InspectSourceResponse* response);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_INSPECT_SOURCE_H_
