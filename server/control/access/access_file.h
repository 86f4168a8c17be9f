// The operator's access file, read again when it has changed: tokens are given and taken back while
// the server runs. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_FILE_H_
#define STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_FILE_H_

#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/control/access/access_list.h"

namespace stockpot {

class AccessFile {
 public:
  // `clock` and `log` must outlive it. Errors: of reading the file and of AccessList::Parse.
  static absl::StatusOr<std::unique_ptr<AccessFile>> Open(const std::string& path, Clock* clock,
                                                          Log* log);

  // What the file says now, looked at once a second at the most. While it cannot be read or
  // understood, what it said before still counts, and the log says so.
  std::shared_ptr<const AccessList> list();

 private:
  AccessFile(std::string path, Clock* clock, Log* log)
      : path_(std::move(path)), clock_(clock), log_(log) {}
  absl::Status Read() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string path_;
  Clock* const clock_;
  Log* const log_;
  absl::Mutex mutex_;
  absl::Time looked_at_ ABSL_GUARDED_BY(mutex_) = absl::InfinitePast();
  std::string text_ ABSL_GUARDED_BY(mutex_);
  std::string problem_ ABSL_GUARDED_BY(mutex_);  // that was logged; "": none
  std::shared_ptr<const AccessList> list_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_ACCESS_ACCESS_FILE_H_
