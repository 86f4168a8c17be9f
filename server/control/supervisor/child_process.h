// One child process: its own process group, standard input from /dev/null, standard output and
// error ours, default signal handling, no other file descriptor of ours.
//
// Wait() and Signal() may be called by different threads: a process id is never signalled after it
// was given back to the system. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_SUPERVISOR_CHILD_PROCESS_H_
#define STOCKPOT_SERVER_CONTROL_SUPERVISOR_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace stockpot {

class ChildProcess {
 public:
  // `arguments[0]` is the program's path. Errors: as ErrnoStatus (server/base/files.h).
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& arguments);
  // Kills the group when nobody has waited for the child, and waits.
  ~ChildProcess();

  pid_t process_id() const { return process_id_; }

  // Returns when the child has ended, with the words for its log line: "exit code 3", "signal 9".
  // What is left of its process group is killed. To be called once.
  std::string Wait();

  // To the whole process group. Does nothing when the child has ended.
  void Signal(int signal);

 private:
  explicit ChildProcess(pid_t process_id) : process_id_(process_id) {}

  const pid_t process_id_;
  absl::Mutex mutex_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_SUPERVISOR_CHILD_PROCESS_H_
