// What CreateJob checks beside the spec itself: the job's own fields, by its text whether every URI
// may be read, and for validate_only whether what it names is there. Thread safety: the functions
// are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_
#define STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"
#include "server/recipe/spec.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// job_id, request_id, display_name, labels, priority; and the metadata stockpot-client.
std::vector<FieldViolation> CheckRequestFields(const v1::CreateJobRequest& request,
                                               const std::string& client);

// All violations as one INVALID_ARGUMENT: `violations`, then those of parsing the spec.
absl::Status WithSpecViolations(std::vector<FieldViolation> violations, const absl::Status& spec);

// Every URI that may not be read or written, as violations of one status: INVALID_ARGUMENT when one
// is malformed, else UNIMPLEMENTED for a scheme of a later release, else PERMISSION_DENIED.
absl::Status CheckSources(const v1::JobSpec& spec, const AllowList& allowed);

// By text whether every file of a data set may be read, and of its image transform. Errors: of
// AllowList and ExpandShards; UNIMPLEMENTED a folder or manifest on another machine.
absl::Status CheckDataSetUris(const v1::DataSet& data_set, const AllowList& allowed);

// Whether checkpoints, architecture and data sets are there and are files or folders as they should
// be; with on_bad_ingredient: SKIP one usable checkpoint is enough. Every one that is not is a
// violation of one status, which is PERMISSION_DENIED when a link leads out of what is allowed,
// else that of the first: with the code and reason that a job would have.
absl::Status CheckSourcesExist(const JobSpec& spec, const AllowList& allowed);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_
