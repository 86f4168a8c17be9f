#include "server/main/assembly.h"

#include <stdlib.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/device_kind.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/store/sqlite/sqlite_store.h"
#include "server/main/data_folder_id.h"

namespace stockpot {
namespace {

constexpr absl::Duration kCallGrace = absl::Seconds(1);
constexpr absl::Duration kWorkerGrace = absl::Seconds(2);
constexpr absl::Duration kWorkerHeartbeat = absl::Seconds(2);

// Every third of the lease, and no less often than by default.
absl::Duration HeartbeatOf(const StockpotdFlags& flags) {
  return std::min(flags.worker_lease / 3, kWorkerHeartbeat);
}

std::vector<std::string> WorkerArguments(const StockpotdFlags& flags, const std::string& socket,
                                         const std::string& id, int slot) {
  // Workers share out the cards of the host; those behind them run no model.
  const std::string device = slot >= flags.workers    ? std::string(kNoDevice)
                             : flags.device == "auto" ? absl::StrCat("auto:", slot)
                                                      : flags.device;
  std::vector<std::string> arguments = {
      flags.worker_binary,
      absl::StrCat("--server=unix:", socket),
      absl::StrCat("--worker_id=", id),
      absl::StrCat("--device=", device),
      absl::StrCat("--threads=", flags.threads_per_worker),
      absl::StrCat("--cache_folder=", flags.data_folder, "/cache"),
      absl::StrCat("--max_data_cache_bytes=", flags.max_data_cache_bytes),
      absl::StrCat("--heartbeat=", absl::FormatDuration(HeartbeatOf(flags))),
  };
  for (const std::string& root : flags.allowed_roots) {
    arguments.push_back(absl::StrCat("--allowed_root=", root));
  }
  for (const std::string& prefix : flags.allowed_architecture_prefixes) {
    arguments.push_back(absl::StrCat("--allowed_architecture_prefix=", prefix));
  }
  for (const std::string& prefix : flags.allowed_compiled_architecture_prefixes) {
    arguments.push_back(absl::StrCat("--allowed_compiled_architecture_prefix=", prefix));
  }
  for (std::string& argument : ToArguments(flags.remote)) arguments.push_back(std::move(argument));
  if (flags.verbose) arguments.push_back("--verbose");
  return arguments;
}

MeasuredFolders FoldersToMeasure(const StockpotdFlags& flags) {
  const std::string cache = flags.data_folder + "/cache";
  MeasuredFolders folders;
  folders.data_folder = flags.data_folder;
  folders.caches = {{kDataSetCache, cache, "", /*whole=*/false},
                    {kDownloadCache, cache + "/downloads", "", /*whole=*/true},
                    {kLogitsCache, cache + "/logits", "", /*whole=*/false},
                    {kFactCache, flags.data_folder, "stockpot.db", /*whole=*/false}};
  return folders;
}

absl::Status AssembleEngine(const StockpotdFlags& flags, Server* server) {
  RETURN_IF_ERROR(Annotate(MakeFolders(flags.data_folder, /*only_owner=*/true), "--data_folder"));
  Engine::Options options;
  options.artifact_folder = flags.artifact_folder();
  options.limits = flags.limits;
  options.retention = flags.retention;
  options.lease = flags.worker_lease;
  options.task_timeout = flags.task_timeout;
  options.fail_points = &server->fail_points;
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
  options.count = flags.workers + flags.reading_workers;
  options.stop_grace = kWorkerGrace;
  options.arguments = [flags, socket](const std::string& id, int slot) {
    return WorkerArguments(flags, socket, id, slot);
  };
  server->supervisor =
      std::make_unique<Supervisor>(std::move(options), &server->clock, server->log.get());
  server->child_admission = std::make_unique<ChildAdmission>(
      [supervisor = server->supervisor.get()](const std::string& id) {
        return supervisor->IsLive(id);
      });
  server->worker_service = std::make_unique<WorkerService>(
      WorkerService::Options(), server->child_admission.get(), server->engine.get(),
      server->log.get(), server->work_observer.get());
  ASSIGN_OR_RETURN(server->worker_server,
                   WorkerServer::Start(socket, server->worker_service.get()));
  return absl::OkStatus();
}

absl::Status AssembleRemoteWorkers(const StockpotdFlags& flags, Server* server) {
  if (flags.worker_listen.empty()) return absl::OkStatus();
  RemoteAdmission::Options admission;
  admission.release = STOCKPOT_VERSION;
  admission.data_folder = NormalFolder(flags.data_folder);
  absl::StatusOr<std::string> folder_id = MarkDataFolder(flags.data_folder);
  RETURN_IF_ERROR(Annotate(folder_id.status(), "--data_folder"));
  admission.folder_id = *std::move(folder_id);
  server->worker_authorization =
      std::make_unique<Authorization>(server->access.get(), &server->clock, /*calls_per_second=*/0);
  server->remote_admission =
      std::make_unique<RemoteAdmission>(std::move(admission), server->worker_authorization.get());
  WorkerService::Options service;
  service.heartbeat = HeartbeatOf(flags);
  server->remote_worker_service =
      std::make_unique<WorkerService>(service, server->remote_admission.get(), server->engine.get(),
                                      server->log.get(), server->work_observer.get());
  WorkerServer::RemoteOptions options;
  options.listen = flags.worker_listen;
  options.tls = flags.tls;
  ASSIGN_OR_RETURN(
      server->remote_worker_server,
      WorkerServer::StartRemote(options, server->remote_worker_service.get(),
                                server->worker_authorization.get(), server->call_observer.get()));
  return absl::OkStatus();
}

absl::Status AssembleListeners(const StockpotdFlags& flags, Server* server) {
  SoupService::Options service;
  service.version = STOCKPOT_VERSION;
  service.limits = flags.limits;
  service.max_request_bytes = flags.max_message_bytes;
  service.calls_per_second = flags.max_calls_per_second_of_client;
  if (!flags.access_file.empty()) {
    auto access = AccessFile::Open(flags.access_file, &server->clock, server->log.get());
    RETURN_IF_ERROR(Annotate(access.status(), "--access_file"));
    server->access = *std::move(access);
  }
  server->soup_service =
      std::make_unique<SoupService>(std::move(service), server->engine.get(), server->allowed.get(),
                                    &server->clock, server->access.get());
  PublicServer::Options options;
  options.listen = flags.listen;
  options.max_message_bytes = flags.max_message_bytes;
  options.tls = flags.tls;
  ASSIGN_OR_RETURN(server->public_server, PublicServer::Start(options, server->soup_service.get(),
                                                              server->call_observer.get()));
  if (!flags.health_listen.empty()) {
    ASSIGN_OR_RETURN(server->health_server, HealthServer::Start(flags.health_listen));
  }
  if (flags.metrics_listen.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(server->metrics_server,
                   MetricsServer::Start(flags.metrics_listen, *server->metrics));
  return absl::OkStatus();
}

bool AnyBusy(Engine* engine) {
  for (const Engine::WorkerView& worker : engine->Workers()) {
    if (worker.busy) return true;
  }
  return false;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SocketFolder>> SocketFolder::Create() {
  const char* runtime = getenv("XDG_RUNTIME_DIR");
  std::string path = absl::StrCat(
      runtime != nullptr && access(runtime, W_OK) == 0 ? runtime : "/tmp", "/stockpotd-XXXXXX");
  if (mkdtemp(path.data()) == nullptr) return ErrnoStatus(errno, "no folder for the socket");
  return std::unique_ptr<SocketFolder>(new SocketFolder(std::move(path)));
}

SocketFolder::~SocketFolder() { RemoveAll(path_).IgnoreError(); }

absl::StatusOr<std::unique_ptr<Server>> Assemble(const StockpotdFlags& flags) {
  auto server = std::make_unique<Server>();
  server->log = Log::ToStandardError("stockpotd", flags.verbose);
  server->metrics =
      std::make_unique<ServerMetrics>(STOCKPOT_VERSION, absl::Now(), FoldersToMeasure(flags));
  server->work_observer = std::make_unique<MeteredWork>(server->metrics.get());
  server->engine_observer = std::make_unique<MeteredEngine>(server->metrics.get());
  server->metered_calls = std::make_unique<MeteredCalls>(server->metrics.get());
  server->call_observer =
      std::make_unique<LoggedCalls>(server->log.get(), server->metered_calls.get());
  if (!server->fail_points.armed().empty()) {
    server->log->Warning("fail_point_armed", {{"point", server->fail_points.armed()}});
  }
  ASSIGN_OR_RETURN(AllowList allowed, AllowedBy(flags));
  server->allowed = std::make_unique<AllowList>(std::move(allowed));
  RETURN_IF_ERROR(AssembleEngine(flags, server.get()));
  RETURN_IF_ERROR(AssembleWorkers(flags, server.get()));
  RETURN_IF_ERROR(AssembleListeners(flags, server.get()));
  RETURN_IF_ERROR(AssembleRemoteWorkers(flags, server.get()));
  server->supervisor->Start();
  return server;
}

absl::Status Announce(const StockpotdFlags& flags, Server* server) {
  const std::string& address = server->public_server->address();
  server->public_server->SetServing(true);
  if (server->health_server != nullptr) server->health_server->SetServing(true);
  server->log->Info(
      "serving",
      {{"address", address},
       {"metrics_port",
        server->metrics_server == nullptr ? "off" : absl::StrCat(server->metrics_server->port())},
       {"data_folder", flags.data_folder},
       {"workers", absl::StrCat(flags.workers)},
       {"reading_workers", absl::StrCat(flags.reading_workers)},
       {"worker_address",
        server->remote_worker_server == nullptr ? "off" : server->remote_worker_server->address()},
       {"tls", flags.tls.empty()             ? "off"
               : flags.tls.client_ca.empty() ? "on"
                                             : "mutual"},
       {"access", flags.access_file.empty() ? "open" : "by file"},
       {"version", STOCKPOT_VERSION}});
  const bool no_data =
      flags.allowed_roots.empty() && flags.remote.access.allowed_uri_prefixes.empty();
  if (no_data || flags.allowed_architecture_prefixes.empty()) {
    server->log->Warning("no_job_can_run", {{"because",
                                             "nothing may be read: give --allowed_root and "
                                             "--allowed_architecture_prefix"}});
  }
  if (flags.workers == 0) {
    server->log->Warning(
        "no_worker_here",
        {{"because", "--workers=0"},
         {"so", flags.worker_listen.empty() ? "jobs wait for ever: there is no --worker_listen"
                                            : "jobs wait until a worker dials --worker_listen"}});
  }
  if (flags.port_file.empty()) return absl::OkStatus();
  return Annotate(WriteFileDurably(flags.port_file, address + "\n"), "--port_file");
}

void Stop(const StockpotdFlags& flags, Server* server) {
  server->public_server->SetServing(false);
  if (server->health_server != nullptr) server->health_server->SetServing(false);
  absl::SleepFor(flags.drain_delay);
  server->engine->Drain();
  server->soup_service->EndStreams();
  const absl::Time deadline = absl::Now() + flags.drain_timeout;
  while (AnyBusy(server->engine.get()) && absl::Now() < deadline) {
    absl::SleepFor(absl::Milliseconds(20));
  }
  server->public_server->Stop(kCallGrace);
  // Before the workers, so that what they still do is handed back and not counted as a crash.
  server->engine->Stop();
  server->supervisor->Stop();
  server->worker_server->Stop(kCallGrace);
  if (server->remote_worker_server != nullptr) server->remote_worker_server->Stop(kCallGrace);
}

}  // namespace stockpot
