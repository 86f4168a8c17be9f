#include "server/control/store/sqlite/lock_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"

namespace stockpot {

absl::StatusOr<std::unique_ptr<LockFile>> LockFile::Acquire(const std::string& folder) {
  const int fd = open((folder + "/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return ErrnoStatus(errno, absl::StrCat("cannot open ", folder, "/lock"));
  auto lock = std::unique_ptr<LockFile>(new LockFile(fd));
  if (flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno != EWOULDBLOCK) return ErrnoStatus(errno, absl::StrCat("cannot lock ", folder));
  return absl::FailedPreconditionError(
      absl::StrCat("another server uses the data folder ", folder,
                   ": stop it, or give this one a folder of its own"));
}

LockFile::~LockFile() { close(fd_); }

}  // namespace stockpot
