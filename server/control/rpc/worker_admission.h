// Who may be a worker: asked twice for each Work stream, before any message is read, and for its
// Hello. What a worker says is not believed: it is bounded, and compared with what must be so.
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_WORKER_ADMISSION_H_
#define STOCKPOT_SERVER_CONTROL_RPC_WORKER_ADMISSION_H_

#include <grpcpp/security/auth_context.h>

#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/authorization.h"
#include "server/control/rpc/call_metadata.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

inline constexpr int kWorkerProtocolVersion = 1;

class WorkerAdmission {
 public:
  virtual ~WorkerAdmission() = default;

  // As whom it is in the access file, for the log; "": nobody was asked. Errors: UNAUTHENTICATED,
  // PERMISSION_DENIED.
  virtual absl::StatusOr<std::string> MayConnect(const CallMetadata& metadata,
                                                 const grpc::AuthContext* peer) const = 0;
  // The worker as the engine is to know it. Errors: FAILED_PRECONDITION, it does not fit this
  // server; PERMISSION_DENIED.
  virtual absl::StatusOr<WorkerInfo> Admit(const worker::v1::Hello& hello) const = 0;
};

// The server's children hold no credential: one is known by the id that it was started with, and
// the socket is in a folder of the server's own user.
class ChildAdmission final : public WorkerAdmission {
 public:
  // `is_known`: whether a worker of this id was started and still lives.
  explicit ChildAdmission(std::function<bool(const std::string&)> is_known)
      : is_known_(std::move(is_known)) {}

  absl::StatusOr<std::string> MayConnect(const CallMetadata&,
                                         const grpc::AuthContext*) const override {
    return "";
  }
  absl::StatusOr<WorkerInfo> Admit(const worker::v1::Hello& hello) const override;

 private:
  const std::function<bool(const std::string&)> is_known_;
};

// Workers on other machines: of the access file's role `worker`, of this release, with this
// server's data folder at its path. Each Hello gets a new id.
class RemoteAdmission final : public WorkerAdmission {
 public:
  struct Options {
    std::string release;      // "0.1.0"
    std::string data_folder;  // absolute
    std::string folder_id;    // what artifacts/.folder_id in it says; not ""
  };
  // `authorization` must outlive it.
  RemoteAdmission(Options options, const Authorization* authorization)
      : options_(std::move(options)), authorization_(authorization) {}

  absl::StatusOr<std::string> MayConnect(const CallMetadata& metadata,
                                         const grpc::AuthContext* peer) const override;
  absl::StatusOr<WorkerInfo> Admit(const worker::v1::Hello& hello) const override;

 private:
  const Options options_;
  const Authorization* const authorization_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_WORKER_ADMISSION_H_
