// stockpot-worker: runs models for a stockpotd, one process per device. It holds no database and no
// API, and no credential but those to read files and write artifacts with: a model that crashes it
// costs one attempt of one task.
//
// Started by stockpotd, which it does not outlive. Signals: SIGTERM ends it at once (any end is
// safe, as with kill -9); SIGINT is ignored, because a terminal sends it to the server as well and
// the server decides.
#include <malloc.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/fail_point.h"
#include "server/base/log.h"
#include "server/base/status.h"
#include "server/base/work_counters.h"
#include "server/main/remote_flags.h"
#include "server/storage/local_path.h"
#include "server/storage/object_store/object_stores.h"
#include "server/storage/remote_files.h"
#include "server/worker/evaluation/device_memory.h"
#include "server/worker/evaluation/evaluator.h"
#include "server/worker/session/session.h"
#include "server/worker/session/task_runner.h"

namespace stockpot {
namespace {

struct Flags {
  std::string server;
  std::string worker_id;
  std::string device = "auto";
  int threads = 0;
  std::string heartbeat = "2s";
  std::string cache_folder;
  uint64_t max_data_cache_bytes = DataSetLimits().max_cache_bytes;
  std::vector<std::string> allowed_roots;
  std::vector<std::string> allowed_architecture_prefixes, allowed_compiled_architecture_prefixes;
  RemoteFlags remote;
  bool verbose = false;
};

void AddFlags(CLI::App* app, Flags* flags) {
  app->set_version_flag("--version", "stockpot-worker " STOCKPOT_VERSION);
  app->add_option("--server", flags->server, "Where stockpotd listens for workers: unix:/path")
      ->required();
  app->add_option("--worker_id", flags->worker_id, "The name stockpotd knows this worker by")
      ->required();
  app->add_option("--device", flags->device,
                  "auto, auto:N (the Nth card, counted round), cpu, cuda or cuda:N")
      ->capture_default_str();
  app->add_option("--threads", flags->threads, "CPU threads for one model; 0: one per core")
      ->check(CLI::Range(0, 4096));
  app->add_option("--heartbeat", flags->heartbeat, "A running task is heard of no less often")
      ->capture_default_str();
  app->add_option("--cache_folder", flags->cache_folder,
                  "Where decoded data sets and downloads are kept")
      ->required();
  app->add_option("--max_data_cache_bytes", flags->max_data_cache_bytes,
                  "The most that decoded data sets take there; images that are more are decoded in "
                  "every pass. 0: no bound")
      ->capture_default_str();
  app->add_option("--allowed_root", flags->allowed_roots,
                  "Folder below which checkpoints and data may be read; repeatable")
      ->allow_extra_args(false);
  app->add_option("--allowed_architecture_prefix", flags->allowed_architecture_prefixes,
                  "Folder, file or URI that architectures may be loaded from; repeatable")
      ->allow_extra_args(false);
  app->add_option("--allowed_compiled_architecture_prefix",
                  flags->allowed_compiled_architecture_prefixes,
                  "Among those, what may be AOTInductor packages, machine code; repeatable")
      ->allow_extra_args(false);
  AddRemoteFlags(app, &flags->remote);
  app->add_flag("--verbose", flags->verbose, "Log more");
}

// A model asks for the same few large blocks in every batch. By default glibc gives each back to
// the kernel and gets it again page by page, which is a third of an evaluation's time on a small
// network. Kept instead: the process stays as large as its largest batch made it.
void KeepFreedMemory() {
  mallopt(M_MMAP_MAX, 0);
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_ARENA_MAX, 1);  // other arenas cannot grow beyond 64 MiB
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

void SetUpProcess() {
  prctl(PR_SET_NAME, "stockpot-worker");  // starting again by /proc/self/exe made it "exe"
  KeepFreedMemory();
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  signal(SIGINT, SIG_IGN);
  signal(SIGPIPE, SIG_IGN);
}

// Null when all that may be read is local.
absl::StatusOr<std::unique_ptr<RemoteFiles>> OpenRemote(const Flags& flags, ObjectStores* objects,
                                                        Clock* clock, const FailPoints* fail_points,
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

absl::Status Serve(const Flags& flags, ObjectStores* objects, Log* log) {
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
  if (!absl::ParseDuration(flags.heartbeat, &session.heartbeat_interval) ||
      session.heartbeat_interval <= absl::ZeroDuration()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--heartbeat=", flags.heartbeat, " is not a duration such as 2s"));
  }
  return RunSession(session, device, &runner, log);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Runs models for stockpotd. Started by stockpotd; rarely by hand.",
               "stockpot-worker");
  AddFlags(&app, &flags);
  CLI11_PARSE(app, argc, argv);
  SpinBriefly(argv);
  SetUpProcess();
  flags.remote.access.hf_token = TakeHubToken();
  const std::unique_ptr<Log> log = Log::ToStandardError("stockpot-worker", flags.verbose);
  ObjectStores objects;
  const absl::Status status = Serve(flags, &objects, log.get());
  if (!status.ok()) {
    log->Error("worker_failed",
               {{"worker", flags.worker_id}, {"error", std::string(status.message())}});
  }
  const int code = status.ok() ? EXIT_SUCCESS : EXIT_FAILURE;
  if (!objects.ShutDown()) _exit(code);
  return code;
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) { return stockpot::Main(argc, argv); }
