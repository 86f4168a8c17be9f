// stockpotd: the server. Puts the libraries together (Assemble), waits for a signal, takes them
// apart. Nothing else: flags are in stockpotd_flags.h.
#include <signal.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/clock.h"
#include "server/base/files.h"
#include "server/base/log.h"
#include "server/base/status.h"
#include "server/control/job/engine.h"
#include "server/control/metrics/metrics.h"
#include "server/control/metrics/metrics_server.h"
#include "server/control/rpc/server.h"
#include "server/control/rpc/soup_service.h"
#include "server/control/rpc/worker_service.h"
#include "server/control/store/sqlite/sqlite_store.h"
#include "server/control/supervisor/supervisor.h"
#include "server/main/observers.h"
#include "server/main/stockpotd_flags.h"
#include "server/storage/local_path.h"

namespace stockpot {
namespace {

constexpr absl::Duration kCallGrace = absl::Seconds(1);
constexpr absl::Duration kWorkerGrace = absl::Seconds(2);

// A folder that only this user can enter, for the socket that workers connect to. A Unix socket's
// path is at most 107 bytes, so it is not in the data folder.
class SocketFolder {
 public:
  static absl::StatusOr<std::unique_ptr<SocketFolder>> Create() {
    const char* runtime = getenv("XDG_RUNTIME_DIR");
    std::string path = absl::StrCat(
        runtime != nullptr && access(runtime, W_OK) == 0 ? runtime : "/tmp", "/stockpotd-XXXXXX");
    if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, "no folder for the socket");
    return std::unique_ptr<SocketFolder>(new SocketFolder(std::move(path)));
  }
  ~SocketFolder() { RemoveAll(path_).IgnoreError(); }

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
  std::unique_ptr<Metrics> metrics;
  std::unique_ptr<MeteredEngine> engine_observer;
  std::unique_ptr<MeteredCalls> call_observer;
  std::unique_ptr<AllowList> allowed;
  std::unique_ptr<Store> store;
  std::unique_ptr<Engine> engine;
  std::unique_ptr<SocketFolder> socket_folder;
  std::unique_ptr<Supervisor> supervisor;
  std::unique_ptr<WorkerService> worker_service;
  std::unique_ptr<WorkerServer> worker_server;
  std::unique_ptr<SoupService> soup_service;
  std::unique_ptr<PublicServer> public_server;
  std::unique_ptr<MetricsServer> metrics_server;
};

std::vector<std::string> WorkerArguments(const StockpotdFlags& flags, const std::string& socket,
                                         const std::string& id, int slot) {
  // Workers share out the cards of the host.
  const std::string device = flags.device == "auto" ? absl::StrCat("auto:", slot) : flags.device;
  std::vector<std::string> arguments = {
      flags.worker_binary,
      absl::StrCat("--server=unix:", socket),
      absl::StrCat("--worker_id=", id),
      absl::StrCat("--device=", device),
      absl::StrCat("--threads=", flags.threads_per_worker),
      absl::StrCat("--cache_folder=", flags.data_folder, "/cache"),
  };
  for (const std::string& root : flags.allowed_roots) {
    arguments.push_back(absl::StrCat("--allowed_root=", root));
  }
  for (const std::string& prefix : flags.allowed_architecture_prefixes) {
    arguments.push_back(absl::StrCat("--allowed_architecture_prefix=", prefix));
  }
  if (flags.verbose) arguments.push_back("--verbose");
  return arguments;
}

absl::Status AssembleEngine(const StockpotdFlags& flags, Server* server) {
  RETURN_IF_ERROR(Annotate(MakeFolders(flags.data_folder, /*only_owner=*/true), "--data_folder"));
  Engine::Options options;
  options.artifact_folder = absl::StrCat(flags.data_folder, "/artifacts");
  options.limits.max_unfinished_jobs = flags.max_unfinished_jobs;
  options.software = "stockpotd " STOCKPOT_VERSION;
  // The supervisor is made later, before any worker.
  options.end_worker = [server](const std::string& id) { server->supervisor->Kill(id); };
  RETURN_IF_ERROR(MakeFolders(options.artifact_folder));
  RETURN_IF_ERROR(MakeFolders(absl::StrCat(flags.data_folder, "/cache")));
  absl::StatusOr<std::unique_ptr<Store>> store = OpenSqliteStore(flags.data_folder);
  RETURN_IF_ERROR(Annotate(store.status(), absl::StrCat("--data_folder=", flags.data_folder)));
  server->store = *std::move(store);
  ASSIGN_OR_RETURN(server->engine,
                   Engine::Create(std::move(options), server->store.get(), &server->clock,
                                  server->log.get(), server->engine_observer.get()));
  return absl::OkStatus();
}

absl::Status AssembleWorkers(const StockpotdFlags& flags, Server* server) {
  ASSIGN_OR_RETURN(server->socket_folder, SocketFolder::Create());
  const std::string socket = server->socket_folder->socket();
  Supervisor::Options options;
  options.count = flags.workers;
  options.stop_grace = kWorkerGrace;
  options.arguments = [flags, socket](const std::string& id, int slot) {
    return WorkerArguments(flags, socket, id, slot);
  };
  server->supervisor =
      std::make_unique<Supervisor>(std::move(options), &server->clock, server->log.get());
  server->worker_service = std::make_unique<WorkerService>(
      server->engine.get(),
      [supervisor = server->supervisor.get()](const std::string& id) {
        return supervisor->IsLive(id);
      },
      server->log.get());
  ASSIGN_OR_RETURN(server->worker_server,
                   WorkerServer::Start(socket, server->worker_service.get()));
  return absl::OkStatus();
}

absl::Status AssembleListeners(const StockpotdFlags& flags, Server* server) {
  SoupService::Options service;
  service.version = STOCKPOT_VERSION;
  service.limits.max_unfinished_jobs = flags.max_unfinished_jobs;
  service.max_request_bytes = flags.max_message_bytes;
  server->soup_service =
      std::make_unique<SoupService>(std::move(service), server->engine.get(), server->allowed.get(),
                                    &server->clock, server->log.get());
  PublicServer::Options options;
  options.listen = flags.listen;
  options.max_message_bytes = flags.max_message_bytes;
  ASSIGN_OR_RETURN(server->public_server, PublicServer::Start(options, server->soup_service.get(),
                                                              server->call_observer.get()));
  if (flags.metrics_listen.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(server->metrics_server,
                   MetricsServer::Start(flags.metrics_listen, *server->metrics));
  return absl::OkStatus();
}

// The one place that puts the server together. Workers start last, when nothing can fail any more.
absl::StatusOr<std::unique_ptr<Server>> Assemble(const StockpotdFlags& flags) {
  auto server = std::make_unique<Server>();
  server->log = Log::ToStandardError("stockpotd", flags.verbose);
  server->metrics = std::make_unique<Metrics>(STOCKPOT_VERSION, absl::Now());
  server->engine_observer = std::make_unique<MeteredEngine>(server->metrics.get());
  server->call_observer = std::make_unique<MeteredCalls>(server->metrics.get());
  ASSIGN_OR_RETURN(AllowList allowed,
                   AllowList::Create(flags.allowed_roots, flags.allowed_architecture_prefixes));
  server->allowed = std::make_unique<AllowList>(std::move(allowed));
  RETURN_IF_ERROR(AssembleEngine(flags, server.get()));
  RETURN_IF_ERROR(AssembleWorkers(flags, server.get()));
  RETURN_IF_ERROR(AssembleListeners(flags, server.get()));
  server->supervisor->Start();
  return server;
}

absl::Status Announce(const StockpotdFlags& flags, Server* server) {
  const std::string& address = server->public_server->address();
  server->public_server->SetServing(true);
  server->log->Info(
      "serving",
      {{"address", address},
       {"metrics_port",
        server->metrics_server == nullptr ? "off" : absl::StrCat(server->metrics_server->port())},
       {"data_folder", flags.data_folder},
       {"workers", absl::StrCat(flags.workers)},
       {"version", STOCKPOT_VERSION}});
  if (flags.allowed_roots.empty() || flags.allowed_architecture_prefixes.empty()) {
    server->log->Warning("no_job_can_run", {{"because",
                                             "nothing may be read: give --allowed_root and "
                                             "--allowed_architecture_prefix"}});
  }
  if (flags.port_file.empty()) return absl::OkStatus();
  return Annotate(WriteFileDurably(flags.port_file, address + "\n"), "--port_file");
}

bool AnyBusy(Engine* engine) {
  for (const Engine::WorkerView& worker : engine->Workers()) {
    if (worker.busy) return true;
  }
  return false;
}

void Stop(const StockpotdFlags& flags, Server* server) {
  server->public_server->SetServing(false);
  server->engine->Drain();
  server->soup_service->EndStreams();
  const absl::Time deadline = absl::Now() + absl::Seconds(flags.drain_timeout_seconds);
  while (AnyBusy(server->engine.get()) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  server->public_server->Stop(kCallGrace);
  // Before the workers, so that what they still do is handed back and not counted as a crash.
  server->engine->Stop();
  server->supervisor->Stop();
  server->worker_server->Stop(kCallGrace);
}

extern "C" void ExitAtOnce(int signal) { _exit(128 + signal); }

// Waits for SIGTERM or SIGINT; a second one then ends the process at once. Workers see their
// connection end and exit.
int WaitForSignal(const sigset_t& signals) {
  int signal = 0;
  sigwait(&signals, &signal);
  struct sigaction at_once = {};
  at_once.sa_handler = ExitAtOnce;
  sigaction(SIGTERM, &at_once, nullptr);
  sigaction(SIGINT, &at_once, nullptr);
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
  return signal;
}

int Main(int argc, char** argv) {
  StockpotdFlags flags;
  if (const std::optional<int> exit_code = ParseStockpotdFlags(argc, argv, &flags)) {
    return *exit_code;
  }
  const std::unique_ptr<Log> log = Log::ToStandardError("stockpotd", flags.verbose);
  const absl::Status checked = CheckStockpotdFlags(flags);
  if (!checked.ok()) {
    log->Error("bad_flags", {{"error", std::string(checked.message())}});
    return kExitBadFlags;
  }
  if (flags.check_config) return kExitStopped;

  umask(077);
  signal(SIGPIPE, SIG_IGN);
  // Blocked before any thread starts, so that only WaitForSignal() gets them.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);

  absl::StatusOr<std::unique_ptr<Server>> server = Assemble(flags);
  const absl::Status started = server.ok() ? Announce(flags, server->get()) : server.status();
  if (!started.ok()) {
    log->Error("cannot_start", {{"error", std::string(started.message())}});
    return kExitFailed;
  }
  const int signal = WaitForSignal(signals);
  log->Info("stopping", {{"signal", absl::StrCat(signal)}});
  Stop(flags, server->get());
  server->reset();
  log->Info("stopped");
  return kExitStopped;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) { return stockpot::Main(argc, argv); }
