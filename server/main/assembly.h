// The one place that puts the server together, and takes it apart. Thread safety:
// thread-compatible.
#ifndef STOCKPOT_SERVER_MAIN_ASSEMBLY_H_
#define STOCKPOT_SERVER_MAIN_ASSEMBLY_H_

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/base/fail_point.h"
#include "server/base/log.h"
#include "server/control/job/engine.h"
#include "server/control/metrics/metrics.h"
#include "server/control/metrics/metrics_server.h"
#include "server/control/rpc/call_log.h"
#include "server/control/rpc/server.h"
#include "server/control/rpc/soup_service.h"
#include "server/control/rpc/worker_service.h"
#include "server/control/supervisor/supervisor.h"
#include "server/main/observers.h"
#include "server/main/stockpotd_flags.h"
#include "server/storage/local_path.h"

namespace stockpot {

// A folder that only this user can enter, for the socket that workers connect to. A Unix socket's
// path is at most 107 bytes, so it is not in the data folder.
class SocketFolder {
 public:
  static absl::StatusOr<std::unique_ptr<SocketFolder>> Create();
  ~SocketFolder();

  std::string socket() const { return path_ + "/workers"; }

 private:
  explicit SocketFolder(std::string path) : path_(std::move(path)) {}
  const std::string path_;
};

// Everything that lives while the server runs. Made from top to bottom, destroyed from bottom to
// top: listeners, then what answers them, then the workers, the engine, the store.
struct Server {
  std::unique_ptr<Log> log;
  SystemClock clock;
  const FailPoints fail_points = FailPoints::FromEnvironment();
  std::unique_ptr<ServerMetrics> metrics;
  std::unique_ptr<MeteredEngine> engine_observer;
  std::unique_ptr<MeteredWork> work_observer;
  std::unique_ptr<MeteredCalls> metered_calls;
  std::unique_ptr<LoggedCalls> call_observer;
  std::unique_ptr<AllowList> allowed;
  std::unique_ptr<Store> store;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SocketFolder> socket_folder;
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<WorkerAdmission> child_admission;
  std::unique_ptr<WorkerService> worker_service;
  std::unique_ptr<WorkerServer> worker_server;
  std::unique_ptr<AccessFile> access;
  std::unique_ptr<Authorization> worker_authorization;  // null, as the three below: none may dial
  std::unique_ptr<WorkerAdmission> remote_admission;
  std::unique_ptr<WorkerService> remote_worker_service;
  std::unique_ptr<WorkerServer> remote_worker_server;
  std::unique_ptr<SoupService> soup_service;
  std::unique_ptr<PublicServer> public_server;
  std::unique_ptr<HealthServer> health_server;
  std::unique_ptr<MetricsServer> metrics_server;
};

// Workers start last, when nothing can fail any more.
absl::StatusOr<std::unique_ptr<Server>> Assemble(const StockpotdFlags& flags);

// Health turns to SERVING, the log and --port_file say where.
absl::Status Announce(const StockpotdFlags& flags, Server* server);

// The drain (DESIGN.md section 7). Returns when nothing runs any more; nothing stored is lost.
void Stop(const StockpotdFlags& flags, Server* server);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_ASSEMBLY_H_
