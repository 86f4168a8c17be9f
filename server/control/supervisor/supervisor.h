// control/supervisor: starts local worker processes, starts them again when they end, stops them.
//
// A worker's id is 128 random bits, new with every start: a late message of one that died cannot be
// taken for its successor's. One thread per worker waits for it.
//
//   supervisor->Start();                      // once the socket they connect to listens
//   if (supervisor->IsLive(id)) …             // a worker that says it is `id`
//   supervisor->Stop();                       // SIGTERM, then SIGKILL
//
// Thread safety: thread-safe, but Start() and Stop() are called by one thread.
#ifndef STOCKPOT_SERVER_CONTROL_SUPERVISOR_SUPERVISOR_H_
#define STOCKPOT_SERVER_CONTROL_SUPERVISOR_SUPERVISOR_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/backoff.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/control/supervisor/child_process.h"

namespace stockpot {

class Supervisor {
 public:
  struct Options {
    int count = 1;  // processes kept running
    // The argument list of a worker with this id in this slot, 0 … count - 1; the first is the
    // program's path.
    std::function<std::vector<std::string>(const std::string& id, int slot)> arguments;
    Backoff backoff;
    // One that ran this long was healthy: its end is not counted with earlier ones.
    absl::Duration healthy_after = absl::Seconds(60);
    // Between SIGTERM and SIGKILL.
    absl::Duration stop_grace = absl::Seconds(5);
  };

  // `clock` and `log` must outlive the supervisor.
  Supervisor(Options options, Clock* clock, Log* log);
  // Stops what runs.
  ~Supervisor();

  void Start();
  // Ends every worker and starts none again. Returns when none is left.
  void Stop();
  // SIGKILL to a worker of this id, if it lives; another takes its place.
  void Kill(const std::string& id);
  // SIGKILL to every worker, without waiting: for a process that is about to exit.
  void KillAll();

  // Whether a worker of this id was started here and has not ended.
  bool IsLive(const std::string& id) const;
  std::vector<std::string> LiveIds() const;

 private:
  // One worker after the other, until Stop().
  void KeepRunning(int slot);
  // Runs one worker to its end; false when it could not be started.
  bool RunOnce(int slot);
  void SignalAll(int signal) const;

  const Options options_;
  Clock* const clock_;
  Log* const log_;
  std::vector<std::thread> threads_;  // of the thread that calls Start() and Stop()

  mutable absl::Mutex mutex_;
  std::map<std::string, std::shared_ptr<ChildProcess>> live_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_SUPERVISOR_SUPERVISOR_H_
