// Keeps a second server out of a folder: flock() on `folder`/lock, released when this process ends
// however it ends. Internal to store/sqlite. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_CONTROL_STORE_SQLITE_LOCK_FILE_H_
#define STOCKPOT_SERVER_CONTROL_STORE_SQLITE_LOCK_FILE_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace stockpot {

class LockFile {
 public:
  // FAILED_PRECONDITION, naming the folder, when another process holds it.
  static absl::StatusOr<std::unique_ptr<LockFile>> Acquire(const std::string& folder);
  ~LockFile();
  LockFile(const LockFile&) = delete;
  LockFile& operator=(const LockFile&) = delete;

 private:
  explicit LockFile(int fd) : fd_(fd) {}
  const int fd_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_STORE_SQLITE_LOCK_FILE_H_
