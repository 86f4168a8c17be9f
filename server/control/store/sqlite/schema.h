// The store's schema, one migration per version (PRAGMA user_version). Internal to store/sqlite.
//
//   jobs    one row per job; `labels` is a JSON object, times are microseconds since 1970,
//           `error` is SerializeStatus() or NULL.
//   events  the job's events; (job_id, sequence) without gaps, (job_id, key) once.
//   tasks   one row per task that was ever claimed: who runs it, how often it was begun. A claim
//           runs while `running` is 1; `fence` names it.
//   facts   results. `scope` is '' for one that is OK (everybody's), the job's name for a failure;
//           `status` is SerializeStatus() of a failure, else ''; `result` is JSON.
//   fences  one row: the last fence given. Fences are never given twice, not even after a task's
//           row was deleted.
//
// A migration is never edited once released; a change is a new entry at the end.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SCHEMA_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SCHEMA_H_

#include "absl/status/status.h"
#include "server/control/store/sqlite/statement.h"

namespace stockpot {

// The version this program knows.
extern const int64_t kSchemaVersion;

// FAILED_PRECONDITION: the database is of `version`, which this program does not know.
absl::Status NewerSchema(int64_t version);

// Brings the database to this program's version. FAILED_PRECONDITION when it is of a newer one.
absl::Status Migrate(Connection* connection);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SCHEMA_H_
