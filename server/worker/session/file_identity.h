// Which file a path names, and whether it is still as it was: a change of content changes size or a
// time stamp. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_FILE_IDENTITY_H_
#define STOCKPOT_SERVER_WORKER_SESSION_FILE_IDENTITY_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"

namespace stockpot {

struct FileIdentity {
  std::string path;
  uint64_t device = 0, inode = 0, size = 0;
  int64_t modified_ns = 0, changed_ns = 0;  // mtime and ctime, since 1970

  friend bool operator==(const FileIdentity& a, const FileIdentity& b) = default;
};

// Of a file or folder. Errors: as ErrnoStatus; INVALID_ARGUMENT (INVALID_FIELD) another kind.
absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_FILE_IDENTITY_H_
