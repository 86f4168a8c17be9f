// stockpot.worker.v1.WorkerService: the server's end of the worker protocol. Each Work stream is
// one WorkerLink for the engine, from the worker's Hello to the stream's end.
//
// A worker holds no credential: it is known by the id that it was started with, and its socket is
// in a folder of the server's own user. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_

#include <functional>
#include <string>

#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/work_observer.h"
#include "stockpot/worker/v1/worker_service.grpc.pb.h"

namespace stockpot {

inline constexpr int kWorkerProtocolVersion = 1;

class WorkerService final : public worker::v1::WorkerService::CallbackService {
 public:
  // `is_known`: whether a worker of this id was started and still lives. All must outlive the
  // service, `observer` may be null; the service must outlive the gRPC server.
  WorkerService(Engine* engine, std::function<bool(const std::string&)> is_known, Log* log,
                WorkObserver* observer = nullptr);

  grpc::ServerBidiReactor<worker::v1::WorkerMessage, worker::v1::ServerMessage>* Work(
      grpc::CallbackServerContext* context) override;

 private:
  Engine* const engine_;
  const std::function<bool(const std::string&)> is_known_;
  Log* const log_;
  WorkObserver* const observer_;
  Executor executor_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_SERVICE_H_
