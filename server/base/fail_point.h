// Named instants at which a test ends a process as kill -9 would, once: the proof that no instant
// is a bad one. A process is told by its environment:
//
//   STOCKPOT_FAIL_POINT=fact_stored       the point
//   STOCKPOT_FAIL_POINT_FILE=/tmp/x/hit   written with the point's name as the process ends
//
// While that file is there the point does nothing: started again, all goes on.
//
// Cost where nothing is armed: one comparison. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_BASE_FAIL_POINT_H_
#define STOCKPOT_SERVER_BASE_FAIL_POINT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace stockpot {

// Every point there is, so that a test can go through all of them. In stockpotd:
inline constexpr absl::string_view kServerFailPoints[] = {
    "job_stored",         // a new job is stored, its client not answered
    "task_claimed",       // an attempt is written, its worker not told
    "result_arrived",     // a result is here, not stored
    "fact_stored",        // it is stored, no event tells of it
    "events_stored",      // events are stored, no watcher told
    "report_written",     // report.json is there, the manifest not
    "manifest_written",   // all files are there, the job is still RUNNING
    "job_ended",          // the end is stored, no watcher told
    "artifacts_removed",  // DeleteJob removed the files, the job is still there
};
// In stockpot-worker:
inline constexpr absl::string_view kWorkerFailPoints[] = {
    "task_begun",          // a task has arrived
    "cache_file_written",  // a decoded data set is written under a temporary name
    "soup_written",        // the soup is written under temporary names
    "soup_renamed",        // its files have their names, the server does not know
    "result_ready",        // a result is made, not sent
};

class FailPoints {
 public:
  // Nothing is armed.
  FailPoints() = default;
  FailPoints(std::string point, std::string file)
      : point_(std::move(point)), file_(std::move(file)) {}
  static FailPoints FromEnvironment();

  // Ends the process with SIGKILL when `point` is the one and has not fired before.
  void Reach(absl::string_view point) const {
    if (!point_.empty() && point == point_) Fire();
  }
  // "" when nothing is armed.
  const std::string& armed() const { return point_; }

 private:
  void Fire() const;

  std::string point_, file_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_FAIL_POINT_H_
