// What CreateJob checks beside the spec itself: the job's own fields, and by its text whether every
// URI may be read. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_
#define STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_

#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

// 1 to 63 of a-z, 0-9 and '-'.
bool IsJobId(absl::string_view id);

// job_id, request_id, display_name, labels, priority.
std::vector<FieldViolation> CheckRequestFields(const v1::CreateJobRequest& request);

// All violations as one INVALID_ARGUMENT: `violations`, then those of parsing the spec.
absl::Status WithSpecViolations(std::vector<FieldViolation> violations, const absl::Status& spec);

// Every URI that may not be read, as violations of one status: INVALID_ARGUMENT when one is
// malformed, else UNIMPLEMENTED for a scheme of a later release, else PERMISSION_DENIED.
absl::Status CheckSources(const v1::JobSpec& spec, const AllowList& allowed);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_NEW_JOB_CHECKS_H_
