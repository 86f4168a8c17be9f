// stockpot.worker.v1.WorkerService: the server's end of the worker protocol. Each Work stream is
// one WorkerLink for the engine, from the worker's Hello to the stream's end. The same for children
// and for workers on other machines, which differ in who is let in (worker_admission.h).
//
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_

#include <atomic>

#include "absl/time/time.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/work_observer.h"
#include "server/control/rpc/worker_admission.h"
#include "stockpot/worker/v1/worker_service.grpc.pb.h"

namespace stockpot {

class WorkerService final : public worker::v1::WorkerService::CallbackService {
 public:
  struct Options {
    // What workers without an id of their own are told.
    absl::Duration heartbeat = absl::Seconds(2);
    int max_streams = 2048;
  };

  // All must outlive the service, `observer` may be null; the service must outlive the gRPC server.
  WorkerService(Options options, const WorkerAdmission* admission, Engine* engine, Log* log,
                WorkObserver* observer = nullptr);

  grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>* Work(
      grpc::CallbackServerContext* context) override;

 private:
  const Options options_;
  const WorkerAdmission* const admission_;
  Engine* const engine_;
  Log* const log_;
  WorkObserver* const observer_;
  std::atomic<int> streams_ = 0;
  Executor executor_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_
