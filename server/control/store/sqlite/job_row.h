// A job as a row of the table `jobs`. Internal to store/sqlite.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_JOB_ROW_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_JOB_ROW_H_

#include "server/control/job/store.h"
#include "server/control/store/sqlite/statement.h"

namespace stockpot {

// The columns that ReadJob() reads, in its order.
inline constexpr char kJobColumns[] =
    "name, spec, display_name, labels, priority, client, request_id, request_digest, "
    "recipe_version, create_time, state, suspend_reason, error, start_time, end_time, "
    "cancel_requested, last_sequence, artifacts, output_folder, artifact_bytes, deadline, report";
// The same without the report, which may be large.
inline constexpr char kJobColumnsWithoutReport[] =
    "name, spec, display_name, labels, priority, client, request_id, request_digest, "
    "recipe_version, create_time, state, suspend_reason, error, start_time, end_time, "
    "cancel_requested, last_sequence, artifacts, output_folder, artifact_bytes, deadline, ''";

JobRecord ReadJob(const Statement& row);

// Binds ?1 … ?10 and ?20: the part of a job that never changes, name to create_time, output_folder.
void BindIdentity(Statement& statement, const JobRecord& job);
// Binds ?11 … ?19 and ?21: state, suspend_reason, error, start_time, end_time, cancel_requested,
// report, artifacts, artifact_bytes, deadline.
void BindCourse(Statement& statement, const JobRecord& job);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_JOB_ROW_H_
