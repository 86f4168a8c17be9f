// control/store/sqlite: jobs, events, tasks and facts in one SQLite file, for one server on one
// host. The schema is specified in schema.h.
//
// One connection behind one mutex does everything (DESIGN.md section 6: SQLite 3.40 may corrupt a
// WAL that two connections write or checkpoint). WAL with synchronous=FULL: what returned OK
// survives kill -9 and power loss. A lock file keeps a second server out, so claims that run when
// the store is opened belong to the dead and are ended.
//
// Thread safety: thread-safe. Errors: as store.h says; DATA_LOSS when the file is damaged.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SQLITE_STORE_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SQLITE_STORE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/control/job/store.h"

namespace stockpot {

// Opens or creates `folder`/stockpot.db. FAILED_PRECONDITION when another server has the folder, or
// when a newer stockpotd wrote it.
absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_SQLITE_STORE_H_
