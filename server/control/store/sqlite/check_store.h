// Whether a store is sound, without changing a byte of it: stockpotd --check_store.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_CHECK_STORE_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_CHECK_STORE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stockpot {

struct StoreCheck {
  int64_t schema_version = 0;
  int64_t jobs = 0, events = 0, facts = 0;
  // What is wrong, for people; empty: the store is sound. At most a hundred of each kind.
  std::vector<std::string> problems;
};

// Looks at `folder`/stockpot.db: SQLite's own integrity and foreign keys; that every job's events
// are 1, 2, 3 … up to its last sequence; that the artifacts which SUCCEEDED jobs name are in
// `artifact_folder`/{job}/ with their sizes (those at an output_uri are the client's, and not
// looked at). Errors: NOT_FOUND no store is there; FAILED_PRECONDITION a server has it, or a newer
// stockpotd wrote it.
absl::StatusOr<StoreCheck> CheckSqliteStore(const std::string& folder,
                                            const std::string& artifact_folder);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_CHECK_STORE_H_
