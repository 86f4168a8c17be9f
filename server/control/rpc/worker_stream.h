// One worker's Work stream, and the engine's link to that worker.
//
// Messages from the worker are handled in order, one at a time, on an executor thread; the next is
// read when the one before has been handled. Messages to the worker wait in a queue that the
// protocol bounds: one assignment, its cancellation, one shutdown.
// Lifetime: owns itself from Start() until OnDone(), which calls Engine::WorkerLost first.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_

#include <grpcpp/support/server_callback.h>

#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/work_observer.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

class WorkerStream final
    : public grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>,
      public WorkerLink,
      public std::enable_shared_from_this<WorkerStream> {
 public:
  WorkerStream(Engine* engine, const std::function<bool(const std::string&)>* is_known,
               Executor* executor, Log* log, WorkObserver* observer);
  void Start();

  void Assign(const Assignment& assignment) override;
  void Cancel(const std::string& assignment_id) override;
  void Shutdown() override;

 private:
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

  // On an executor thread. An error ends the stream.
  absl::Status Handle();
  absl::Status HandleHello(const worker::v1::Hello& hello);
  void HandleCounters(const worker::v1::WorkerCounters& counters);

  void Send(worker::v1::ServerMessage message);
  void WriteNext() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Finishes once nothing is being written.
  void End(const absl::Status& status);

  Engine* const engine_;
  const std::function<bool(const std::string&)>* const is_known_;
  Executor* const executor_;
  Log* const log_;
  WorkObserver* const observer_;        // may be null
  std::shared_ptr<WorkerStream> self_;  // set by Start(), cleared by OnDone()

  worker::v1::WorkerMessage incoming_;  // between StartRead() and the end of Handle()
  std::string worker_id_;               // set by HandleHello(), before any link call
  bool connected_ = false;              // the engine knows this link

  absl::Mutex mutex_;
  std::deque<worker::v1::ServerMessage> outgoing_ ABSL_GUARDED_BY(mutex_);  // front: being written
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool finished_ ABSL_GUARDED_BY(mutex_) = false;
  std::optional<absl::Status> end_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_STREAM_H_
