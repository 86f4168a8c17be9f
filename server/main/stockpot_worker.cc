// stockpot-worker: runs models for a stockpotd, one process per device. It holds no database and no
// API, and no credential but those to read files and write artifacts with: a model that crashes it
// costs one attempt of one task.
//
// Started by stockpotd, which it does not outlive. Signals: SIGTERM ends it at once (any end is
// safe, as with kill -9); SIGINT is ignored, because a terminal sends it to the server as well and
// the server decides.
//
// On another machine it is started by whoever runs that, and dials the server again and again.
// SIGTERM and SIGINT let the running task finish or hand it back; a second one ends it at once.
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/fail_point.h"
#include "server/base/log.h"
#include "server/base/status.h"
#include "server/base/work_counters.h"
#include "server/main/data_folder_id.h"
#include "server/main/ready_file.h"
#include "server/main/reconnection.h"
#include "server/main/worker_credentials.h"
#include "server/main/worker_flags.h"
#include "server/storage/local_path.h"
#include "server/storage/object_store/object_stores.h"
#include "server/storage/remote_files.h"
#include "server/worker/evaluation/device_memory.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/session.h"
#include "server/worker/session/stop_request.h"
#include "server/worker/session/task_runner.h"

namespace stockpot {
namespace {

// A model asks for the same few large blocks in every batch. By default glibc gives each back to
// the kernel and gets it again page by page, which is a third of an evaluation's time on a small
// network. Kept instead: the process stays as large as its largest batch made it.
void KeepFreedMemory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
}

// Threads of one operator that wait for each other spin for about a millisecond by default: where
// workers share cores with the server or with each other, that more than doubles a pass' time. Spin
// for some microseconds, then sleep. The OpenMP library reads this once, before main(), so the
// program starts again with it; returns when there is nothing to do.
void SpinBriefly(char** argv) {
  if (getenv("GOMP_SPINCOUNT") != nullptr || getenv("OMP_WAIT_POLICY") != nullptr) return;
  if (setenv("GOMP_SPINCOUNT", "5000", /*overwrite=*/0) == 0) execv("/proc/self/exe", argv);
}

// Nothing else here has a use for it.
std::string TakeHubToken() {
  const char* const token = getenv("HF_TOKEN");
  std::string taken = token == nullptr ? "" : token;
  unsetenv("HF_TOKEN");
  return taken;
}

void SetUpProcess(bool is_child) {
  prctl(PR_SET_NAME, "stockpot-worker");  // starting again by /proc/self/exe made it "exe"
  KeepFreedMemory();
  signal(SIGPIPE, SIG_IGN);
  if (!is_child) return;
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGINT, SIG_IGN);
}

sigset_t StopSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Sets `stop` at the first signal that asks to end, and ends the process at the second. They must
// be blocked in every thread. The thread ends with the process.
void ListenForStop(StopRequest* stop, Log* log) {
  std::thread([stop, log] {
    const sigset_t signals = StopSignals();
    int signal = 0;
    sigwait(&signals, &signal);
    log->Info("stopping", {{"signal", absl::StrCat(signal)}});
    stop->Set();
    sigwait(&signals, &signal);
    std::_Exit(128 + signal);
  }).detach();
}

// Null when all that may be read is local.
absl::StatusOr<std::unique_ptr<RemoteFiles>> OpenRemote(const WorkerFlags& flags,
                                                        ObjectStores* objects, Clock* clock,
                                                        const FailPoints* fail_points,
                                                        WorkCounters* counters) {
  RemoteAccess access = flags.remote.access;
  access.allowed_architecture_prefixes = flags.allowed_architecture_prefixes;
  const bool leads_elsewhere = !access.allowed_uri_prefixes.empty() ||
                               !access.allowed_output_uri_prefixes.empty() ||
                               std::any_of(flags.allowed_architecture_prefixes.begin(),
                                           flags.allowed_architecture_prefixes.end(), IsRemoteUri);
  if (!leads_elsewhere) return std::unique_ptr<RemoteFiles>();
  RemoteFiles::Options options;
  options.cache_folder = flags.cache_folder + "/downloads";
  options.max_bytes = flags.remote.max_download_bytes;
  options.counters = counters;
  ASSIGN_OR_RETURN(RemoteFiles::Stores stores, objects->Open(access));
  return OpenRemoteFiles(access, std::move(options), clock, fail_points, std::move(stores));
}

// One session after the other, until `stop`.
absl::Status ServeFromAfar(const WorkerFlags& flags, SessionOptions options,
                           const DeviceInfo& device, TaskRunner* runner, Clock* clock,
                           StopRequest* stop, Log* log) {
  ReadyFile ready(flags.ready_file, log);
  options.remote.release = STOCKPOT_VERSION;
  options.remote.data_folder = NormalFolder(flags.data_folder);
  options.remote.stop = stop;
  options.remote.drain_timeout = flags.drain_timeout;
  options.remote.connected = [&ready] { ready.Touch(); };
  Reconnection reconnection;
  reconnection.wait = [stop](absl::Duration duration) { return stop->WaitFor(duration); };
  reconnection.session = [&]() -> absl::Status {
    // As they are now: files may have been renewed, and the server writes another id at its start.
    ASSIGN_OR_RETURN(WorkerCredentials credentials,
                     OpenWorkerCredentials(flags.credentials, flags.server));
    options.remote.credentials = std::move(credentials.channel);
    options.remote.token = std::move(credentials.token);
    options.remote.folder_id = ReadDataFolderId(flags.data_folder);
    const absl::Status ended = RunSession(options, device, runner, log);
    ready.Remove();
    return ended;
  };
  return KeepConnected(reconnection, clock, log);
}

absl::Status Serve(const WorkerFlags& flags, ObjectStores* objects, StopRequest* stop, Log* log) {
  ASSIGN_OR_RETURN(AllowList allow_list,
                   AllowList::Create(flags.allowed_roots, flags.allowed_architecture_prefixes, {},
                                     flags.remote.access.allowed_uri_prefixes,
                                     flags.remote.access.allowed_output_uri_prefixes));
  ASSIGN_OR_RETURN(AllowList compiled,
                   AllowList::Create({}, flags.allowed_compiled_architecture_prefixes));
  SetComputeThreads(flags.threads);
  ASSIGN_OR_RETURN(const DeviceInfo device, ProbeDevice(flags.device));
  log->Info("worker_started", {{"worker", flags.worker_id},
                               {"device", device.kind},
                               {"name", device.name},
                               {"numerics", device.numerics}});
  TaskRunner::Options options;
  options.device = flags.device;
  options.compiled = std::move(compiled);
  options.sources.cache_folder = flags.cache_folder;
  options.sources.data_set_limits.max_cache_bytes = flags.max_data_cache_bytes;
  const FailPoints fail_points = FailPoints::FromEnvironment();
  options.fail_points = &fail_points;
  SystemClock clock;
  WorkCounters counters;
  ASSIGN_OR_RETURN(const std::unique_ptr<RemoteFiles> remote_files,
                   OpenRemote(flags, objects, &clock, &fail_points, &counters));
  options.remote_files = remote_files.get();
  options.counters = &counters;
  TaskRunner runner(options, std::move(allow_list));
  SessionOptions session;
  session.server = flags.server;
  session.worker_id = flags.worker_id;
  session.counters = &counters;
  session.read_memory = [&flags] { return ReadDeviceMemory(flags.device); };
  session.heartbeat_interval = flags.heartbeat;
  if (flags.is_child()) return RunSession(session, device, &runner, log);
  return ServeFromAfar(flags, std::move(session), device, &runner, &clock, stop, log);
}

int Main(int argc, char** argv) {
  WorkerFlags flags;
  if (const std::optional<int> exit_code = ParseWorkerFlags(argc, argv, &flags)) return *exit_code;
  SpinBriefly(argv);
  SetUpProcess(flags.is_child());
  flags.remote.access.hf_token = TakeHubToken();
  const std::unique_ptr<Log> log = Log::ToStandardError("stockpot-worker", flags.verbose);
  StopRequest stop;
  absl::Status status = CompleteWorkerFlags(&flags);
  if (status.ok() && !flags.is_child()) {
    // Before any other thread starts, which then has them blocked too.
    const sigset_t signals = StopSignals();
    pthread_sigmask(SIG_BLOCK, &signals, nullptr);
    ListenForStop(&stop, log.get());
  }
  ObjectStores objects;
  if (status.ok()) status = Serve(flags, &objects, &stop, log.get());
  if (!status.ok()) {
    log->Error("worker_failed",
               {{"worker", flags.worker_id}, {"error", std::string(status.message())}});
  }
  const int code = status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
  // The signals' thread may still use what this function holds.
  if (!objects.ShutDown() || !flags.is_child()) _exit(code);
  return code;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) { return stockpot::Main(argc, argv); }
