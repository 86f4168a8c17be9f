#include "server/worker/session/file_identity.h"

#include <sys/stat.h>

#include <cerrno>

#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

int64_t Nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

}  // namespace

absl::StatusOr<FileIdentity> IdentifyFile(const std::string& path) {
  struct stat file;
  if (stat(path.c_str(), &file) != 0) return ErrnoStatus(errno, "looking at the file");
  // Opening a pipe waits for a writer, and there may be none.
  if (!S_ISREG(file.st_mode) && !S_ISDIR(file.st_mode)) {
    return WithReason(absl::InvalidArgumentError("neither a file nor a folder"), "INVALID_FIELD");
  }
  return FileIdentity{.path = path,
                      .device = file.st_dev,
                      .inode = file.st_ino,
                      .size = static_cast<uint64_t>(file.st_size),
                      .modified_ns = Nanoseconds(file.st_mtim),
                      .changed_ns = Nanoseconds(file.st_ctim)};
}

}  // namespace stockpot
