// Between the public messages (stockpot.v1) and the engine's plain structs. Field paths in errors
// are those of the request: "job.spec.ingredients[3].uri".
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_JOB_TRANSLATION_H_
#define STOCKPOT_SERVER_CONTROL_RPC_JOB_TRANSLATION_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "server/control/job/engine.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/job.pb.h"
#include "stockpot/v1/soup_service.pb.h"

namespace stockpot {

struct CheckedJob {
  NewJob job;
  JobSpec spec;
};

// Checks all that can be checked without looking at what the spec names. `client`: the
// stockpot-client metadata. Errors: INVALID_ARGUMENT INVALID_FIELD; PERMISSION_DENIED
// PATH_NOT_ALLOWED, ARCHITECTURE_NOT_ALLOWED or OUTPUT_NOT_ALLOWED; UNIMPLEMENTED NOT_IMPLEMENTED
// (a URI's scheme).
absl::StatusOr<CheckedJob> ToNewJob(const v1::CreateJobRequest& request, const std::string& client,
                                    const SpecLimits& limits, const AllowList& allowed);

// jobs/{job} with {job} of 1 to 63 of a-z, 0-9 and '-'. Errors: INVALID_ARGUMENT INVALID_FIELD.
absl::Status CheckJobName(const std::string& name);

// Errors: INTERNAL, a stored record that cannot be read.
absl::StatusOr<v1::Job> ToJob(const JobRecord& record);
absl::StatusOr<v1::Job> ToJob(const JobView& view);
absl::StatusOr<v1::JobEvent> ToJobEvent(const EventRecord& record);
v1::Progress ToProgress(const JobProgress& progress);
v1::Job::State ToState(JobState state);
google::protobuf::Timestamp ToTimestamp(absl::Time time);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_JOB_TRANSLATION_H_
