// The worker's side of the protocol: dials the server, says Hello, runs the tasks it is given one
// at a time, and ends when the stream ends.
//
// Three threads: the caller's reads the stream, so that cancel and shutdown are heard while a task
// runs; one runs tasks; one sends a heartbeat while a task says nothing of itself.
//
// Source: proto/stockpot/worker/v1/worker_service.proto.
// Thread safety: confined to the thread that calls Run().
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/log.h"
#include "server/base/work_counters.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/task_runner.h"

namespace stockpot {

struct SessionOptions {
  std::string server;     // gRPC target: "unix:/run/stockpot/workers.sock"
  std::string worker_id;  // given by the server to its child
  absl::Duration connect_timeout = absl::Seconds(30);
  // Progress is sent no more often than this …
  absl::Duration progress_interval = absl::Milliseconds(200);
  // … and, while a task runs, no less often than this.
  absl::Duration heartbeat_interval = absl::Seconds(2);
  // How long a task may go on once the stream has ended. One that cannot be interrupted (a model
  // that hangs, one very large tensor) then ends with the process.
  absl::Duration abandon_after = absl::Seconds(5);
  // What is told with progress and results for the server's metrics; null: nothing. Must outlive
  // the session.
  WorkCounters* counters = nullptr;
  // Looks at the device's memory: before the first task, and while one runs on the thread that runs
  // it. Null: nobody looks.
  std::function<DeviceMemory()> read_memory = nullptr;
};

// Runs until the server ends the stream or says shutdown: OK. `runner` and `log` must outlive the
// call. Errors: UNAVAILABLE the server cannot be reached; what the server ended the stream with;
// INTERNAL (reason DEVICE_LOST) a task left the device unusable: its attempt is not answered.
absl::Status RunSession(const SessionOptions& options, const DeviceInfo& device, TaskRunner* runner,
                        Log* log);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_
