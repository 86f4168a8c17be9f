// The gRPC servers: the public one for clients (with grpc.health.v1 and reflection), one of health
// alone, and those for workers: on a Unix socket for children, on a port for other machines.
// Thread safety: thread-compatible; calls in progress go on while Stop() runs.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_SERVER_H_
#define STOCKPOT_SERVER_CONTROL_RPC_SERVER_H_

#include <grpcpp/server.h>

#include <memory>
#include <string>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "server/control/access/certificate_files.h"
#include "server/control/rpc/call_observer.h"
#include "server/control/rpc/soup_service.h"
#include "server/control/rpc/worker_service.h"

namespace stockpot {

// Whether only this machine can reach it: 127.0.0.0/8, ::1, localhost, a Unix socket.
bool IsLoopbackAddress(absl::string_view address);

class PublicServer {
 public:
  struct Options {
    std::string listen = "127.0.0.1:8433";  // HOST:PORT; port 0 takes a free one
    int max_message_bytes = 4 << 20;        // of a request; gRPC itself takes twice as much
    CertificateFiles tls;                   // empty: plaintext
    absl::Duration look_at_certificates = absl::Seconds(10);  // in whole seconds
    absl::Duration tick = absl::Milliseconds(500);
  };

  // Listens, but health says NOT_SERVING until SetServing(true). `service` and `observer` (may be
  // null) must outlive the server. Errors: INVALID_ARGUMENT, UNAVAILABLE the address cannot be had.
  static absl::StatusOr<std::unique_ptr<PublicServer>> Start(const Options& options,
                                                             SoupService* service,
                                                             CallObserver* observer);
  ~PublicServer();

  // HOST:PORT with the real port.
  const std::string& address() const { return address_; }
  void SetServing(bool serving);

  // Ends every stream with UNAVAILABLE, lets other calls finish for `grace`, then cancels them.
  void Stop(absl::Duration grace);

 private:
  PublicServer(SoupService* service, absl::Duration tick) : service_(service), tick_(tick) {}
  void TickUntilStopped();

  SoupService* const service_;
  const absl::Duration tick_;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
  std::thread ticker_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
};

// Health alone, in plaintext and for everybody: Kubernetes' probes speak neither TLS nor tokens.
class HealthServer {
 public:
  // Says NOT_SERVING until SetServing(true). Errors: UNAVAILABLE.
  static absl::StatusOr<std::unique_ptr<HealthServer>> Start(const std::string& listen);
  ~HealthServer();
  const std::string& address() const { return address_; }
  void SetServing(bool serving);

 private:
  HealthServer() = default;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

class WorkerServer {
 public:
  // `socket`: the path of a Unix socket in a folder that only this user can enter. `service` must
  // outlive the server. Errors: UNAVAILABLE.
  static absl::StatusOr<std::unique_ptr<WorkerServer>> Start(const std::string& socket,
                                                             WorkerService* service);

  struct RemoteOptions {
    std::string listen;                                       // HOST:PORT; port 0 takes a free one
    CertificateFiles tls;                                     // empty: plaintext
    absl::Duration look_at_certificates = absl::Seconds(10);  // in whole seconds
    // A connection that is silent for so long is asked, and ended when no answer comes within that
    // time again: a machine that vanished is noticed after both.
    absl::Duration keepalive = absl::Seconds(10);
  };
  // WorkerService alone: neither health nor reflection. All must outlive the server; `observer` may
  // be null. Errors: INVALID_ARGUMENT, UNAVAILABLE.
  static absl::StatusOr<std::unique_ptr<WorkerServer>> StartRemote(const RemoteOptions& options,
                                                                   WorkerService* service,
                                                                   Authorization* authorization,
                                                                   CallObserver* observer);
  ~WorkerServer();
  // HOST:PORT with the real port; of a socket "".
  const std::string& address() const { return address_; }
  // Cancels the streams that are left after `grace`.
  void Stop(absl::Duration grace);

 private:
  WorkerServer() = default;
  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_SERVER_H_
