// The worker's side of the protocol: dials the server, says Hello, runs the tasks it is given one
// at a time, and ends when the stream ends. The same for the server's child and for a worker on
// another machine, which shows who it is and may be asked to leave.
//
// Three threads: the caller's reads the stream, so that cancel and shutdown are heard while a task
// runs; one runs tasks; one sends a heartbeat while a task says nothing of itself. A fourth waits
// to be asked to leave.
//
// Source: proto/stockpot/worker/v1/worker_service.proto.
// Thread safety: confined to the thread that calls Run().
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_

#include <grpcpp/security/credentials.h>

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/base/log.h"
#include "server/base/work_counters.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/stop_request.h"
#include "server/worker/session/task_runner.h"

namespace stockpot {

struct SessionOptions {
  std::string server;     // gRPC target: "unix:/run/stockpot/workers.sock"
  std::string worker_id;  // given by the server to its child; "": Remote counts
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

  // Of a worker on another machine, which is no child.
  struct Remote {
    std::shared_ptr<grpc::ChannelCredentials> credentials;  // as of now; null: plaintext
    std::string token;                                      // "": none
    std::string release, data_folder, folder_id;            // as Hello has them
    // Silence for so long is asked about, and a connection without an answer in that time ended.
    absl::Duration keepalive = absl::Seconds(10);
    // When it is set the worker leaves: takes no other task, gives the running one so long, and
    // hands it back then. Null: it is never asked. Must outlive the session.
    StopRequest* stop = nullptr;
    absl::Duration drain_timeout = absl::Seconds(10);
    // Called when the server has taken the worker in, and then at every heartbeat of the session.
    std::function<void()> connected = nullptr;
  };
  Remote remote = {};
};

// Runs until the server ends the stream or says shutdown: OK. `runner` and `log` must outlive the
// call. Errors: UNAVAILABLE the server cannot be reached; what the server ended the stream with
// (CANCELLED: the worker left before the server answered);
// INTERNAL (reason DEVICE_LOST) a task left the device unusable: its attempt is not answered.
absl::Status RunSession(const SessionOptions& options, const DeviceInfo& device, TaskRunner* runner,
                        Log* log);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SESSION_H_
