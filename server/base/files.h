// Small file operations with absl::Status: what the standard library does, plus durability.
// Errors of the system become codes: ENOENT NOT_FOUND, EACCES PERMISSION_DENIED, EROFS
// PERMISSION_DENIED (reason STORAGE_READ_ONLY), EEXIST ALREADY_EXISTS, ENOSPC and EDQUOT
// RESOURCE_EXHAUSTED (reason DISK_FULL), else INTERNAL. Messages do not repeat the path.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_FILES_H_
#define STOCKPOT_SERVER_BASE_FILES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// "what: text of errno", with the code above.
absl::Status ErrnoStatus(int error, absl::string_view what);

// Reads a file of at most `max_bytes`; a larger one is RESOURCE_EXHAUSTED.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

// Writes `path` whole: a temporary name beside it, fsync, rename, fsync of the folder. A reader
// sees the old content or the new, also after a crash.
absl::Status WriteFileDurably(const std::string& path, absl::string_view content);

// rename(), then fsync of the folder of `to`.
absl::Status RenameDurably(const std::string& from, const std::string& to);

// Creates a folder and its parents; fine when it is there. Mode 0700 when `only_owner`, for the
// last one.
absl::Status MakeFolders(const std::string& path, bool only_owner = false);

// Removes a file or a folder with all that is in it; fine when it is not there.
absl::Status RemoveAll(const std::string& path);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_FILES_H_
