// One worker's Work stream, and the engine's link to that worker.
//
// Messages from the worker are handled in order, one at a time, on an executor thread; the next is
// read when the one before has been handled. They are hostile until checked: ids, numbers and their
// order. Messages to the worker wait in a queue that the protocol bounds: a welcome, one
// assignment, its cancellation, one shutdown. Lifetime: owns itself from Start() until OnDone(),
// which calls Engine::WorkerLost first. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <deque>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/work_observer.h"
#include "server/control/rpc/worker_admission.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

class WorkerStream final
    : public grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>,
      public WorkerLink,
      public std::enable_shared_from_this<WorkerStream> {
 public:
  struct Options {
    const WorkerAdmission* admission = nullptr;  // all must outlive the stream
    Engine* engine = nullptr;
    Executor* executor = nullptr;
    Log* log = nullptr;
    WorkObserver* observer = nullptr;  // may be null
    absl::Duration heartbeat;
    std::string client, peer;                  // for the log
    std::atomic<int>* open_streams = nullptr;  // counts this one while it lives
  };
  explicit WorkerStream(Options options);
  ~WorkerStream() override;
  void Start();

  void Assign(const Assignment& assignment) override;
  void Cancel(const std::string& assignment_id) override;
  void Shutdown() override;
  void Drop() override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

  // On an executor thread. An error ends the stream.
  absl::Status Handle();
  absl::Status HandleHello(const worker::v1::Hello& hello);
  void Welcome(const std::string& worker_id);
  void HandleCounters(const worker::v1::WorkerCounters& counters);

  void Send(worker::v1::ServerMessage message);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Finishes once nothing is being written or handled. The first end counts.
  void End(const absl::Status& status);

  const Options options_;
  Engine* const engine_;
  std::shared_ptr<WorkerStream> self_;  // set by Start(), cleared by OnDone()

  worker::v1::WorkerMessage incoming_;  // between StartRead() and the end of Handle()
  std::string worker_id_;               // set by HandleHello(), before any link call
  bool connected_ = false;              // the engine knows this link

  absl::Mutex mutex_;
  std::deque<worker::v1::ServerMessage> outgoing_ ABSL_GUARDED_BY(mutex_);  // front: being written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool handling_ ABSL_GUARDED_BY(mutex_) = false;  // a message; the next read comes after it
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_
