// VerifySoup in terms of tasks: a job or a manifest to the task that makes the soup again, and its
// fact to a comparison. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_VERIFY_SOUP_H_
#define STOCKPOT_SERVER_CONTROL_RPC_VERIFY_SOUP_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/control/job/engine.h"
#include "server/control/job/manifest.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// Reads the manifest: the text that was given, or the file of the job. May wait for the store and
// for a disk. Errors: as the rpc's, before a worker looks at the ingredients.
absl::StatusOr<SoupVerification> FindSoup(const v1::VerifySoupRequest& request, Engine* engine,
                                          const AllowList& allowed);

// Errors: INTERNAL, the fact is of another task.
absl::Status CompareSoup(const SoupVerification& expected, const Fact& fact,
                         v1::VerifySoupResponse* response);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_VERIFY_SOUP_H_
