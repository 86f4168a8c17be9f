#include "server/main/stockpotd_flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>
#include <thread>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/clock.h"
#include "server/base/log.h"
#include "server/base/status.h"
#include "server/control/access/access_file.h"
#include "server/control/rpc/server.h"

namespace stockpot {
namespace {

constexpr const char* kFooter =
    "Durations are written 90s, 10m, 1h30m, 720h. A configuration file is YAML with the flags' "
    "names "
    "as keys:\n"
    "    workers: 4\n"
    "    allowed_root: [/data, /scratch]\n"
    "    drain_timeout: 30s\n"
    "Exit codes: 0 stopped by a signal, or what was to be checked is well; 1 could not start (the "
    "port or the data folder is taken, …); 2 flags or a file that cannot be used; 3 --check_store "
    "found something wrong; 128 + signal: a second signal ended it at once.\n"
    "SIGTERM and SIGINT stop it: health says NOT_SERVING, calls are served for --drain_delay, then "
    "watches end UNAVAILABLE, running tasks get --drain_timeout, workers stop. Nothing stored is "
    "lost, whatever ends it.";

constexpr absl::Duration kDay = absl::Hours(24);
constexpr absl::Duration kTenYears = absl::Hours(24 * 3650);

// A flag of 1h30m and the like, from `least` to `most`.
CLI::Option* AddDuration(CLI::App& app, const std::string& name, absl::Duration* value,
                         absl::Duration least, absl::Duration most, const std::string& help) {
  return app
      .add_option_function<std::string>(
          name,
          [=](const std::string& text) {
            if (absl::ParseDuration(text, value) && *value >= least && *value <= most) return;
            throw CLI::ValidationError(
                absl::StrCat(name, ": '", text, "' is not a duration such as 90s or 1h30m, from ",
                             absl::FormatDuration(least), " to ", absl::FormatDuration(most)));
          },
          help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(*value));
}

std::string DefaultDataFolder() {
  if (const char* data = std::getenv("XDG_DATA_HOME"); data != nullptr && *data != '\0') {
    return absl::StrCat(data, "/stockpot");
  }
  const char* home = std::getenv("HOME");
  return absl::StrCat(home != nullptr ? home : "/var/lib", "/.local/share/stockpot");
}

// The program of this name in the folder of the running one.
std::string BesideThisProgram(const std::string& name) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  return (self.parent_path() / name).string();
}

void AddServingFlags(CLI::App& app, StockpotdFlags* flags) {
  app.add_option("--listen", flags->listen,
                 "HOST:PORT of the API; port 0 takes a free one (see --port_file)")
      ->capture_default_str();
  app.add_flag("--allow_insecure_remote", flags->allow_insecure_remote,
               "Listen beyond loopback without TLS, or without asking who calls (--access_file or "
               "--tls_client_ca_file): where something before the server does that");
  app.add_option("--tls_certificate_file", flags->tls.certificate,
                 "The server's certificate and its chain, PEM; read again within seconds when it "
                 "is renewed, as is the key");
  app.add_option("--tls_key_file", flags->tls.key, "Its private key, PEM without a password");
  app.add_option("--tls_client_ca_file", flags->tls.client_ca,
                 "Mutual TLS: clients show a certificate that one of these signed, PEM");
  app.add_flag("--tls_client_certificate_optional", flags->tls.client_certificate_optional,
               "Clients without a certificate are let in, to show a token");
  app.add_option("--access_file", flags->access_file,
                 "Who may do what: lines of CLIENT ROLE sha256:DIGEST-OF-A-TOKEN or CLIENT ROLE "
                 "certificate:NAME and maybe a time; ROLE is viewer, submitter, admin or worker "
                 "(README, \"Who may do what\"). Read again when it changes");
  app.add_option("--health_listen", flags->health_listen,
                 "HOST:PORT of grpc.health.v1 alone, in plaintext: for probes that speak neither "
                 "TLS nor tokens");
  app.add_option("--worker_listen", flags->worker_listen,
                 "HOST:PORT where stockpot-worker on other machines dials, with the certificate of "
                 "the API and a token or certificate of the role worker; off: none. Needs an "
                 "absolute --data_folder, which they mount at the same path")
      ->default_str("off");
  app.add_option("--port_file", flags->port_file,
                 "Write the HOST:PORT that was bound to this file once the server is ready");
  app.add_option("--metrics_listen", flags->metrics_listen,
                 "HOST:PORT of /metrics for Prometheus; port 0 takes a free one; off: none")
      ->capture_default_str();
  app.add_option("--max_message_bytes", flags->max_message_bytes, "Largest request")
      ->check(CLI::Range(1 << 10, 1 << 30))
      ->capture_default_str();
  AddDuration(app, "--drain_delay", &flags->drain_delay, absl::ZeroDuration(), kDay,
              "How long a server that is stopped still serves, with readiness off, so that load "
              "balancers notice");
  AddDuration(app, "--drain_timeout", &flags->drain_timeout, absl::ZeroDuration(), kDay,
              "How long running tasks then get to finish");
}

void AddLimitFlags(CLI::App& app, StockpotdFlags* flags) {
  const auto add = [&](const std::string& name, auto* value, const std::string& help) {
    app.add_option(name, *value, help)->check(CLI::NonNegativeNumber)->capture_default_str();
  };
  EngineLimits& limits = flags->limits;
  add("--max_unfinished_jobs", &limits.max_unfinished_jobs,
      "More jobs that have not ended are refused with RESOURCE_EXHAUSTED; 0: no limit, as below");
  add("--max_unfinished_jobs_of_client", &limits.max_unfinished_jobs_of_client,
      "The same for each client (stockpot-client metadata)");
  add("--max_unfinished_ingredients", &limits.max_unfinished_ingredients,
      "Ingredients of all unfinished jobs together");
  add("--max_unfinished_ingredients_of_client", &limits.max_unfinished_ingredients_of_client,
      "The same for each client");
  add("--max_artifact_bytes", &limits.max_artifact_bytes,
      "No new jobs while more bytes than this are in the data folder's artifacts");
  add("--max_artifact_bytes_of_client", &limits.max_artifact_bytes_of_client,
      "The same for each client");
  add("--max_waiting_inspections", &limits.max_waiting_inspections,
      "Inspections and verifications that wait for a worker");
  add("--max_waiting_inspections_of_client", &limits.max_waiting_inspections_of_client,
      "The same for each client");
  add("--max_calls_per_second_of_client", &flags->max_calls_per_second_of_client,
      "Calls of a client, with ten seconds' worth at once; more are RESOURCE_EXHAUSTED; 0: no "
      "limit");
  AddDuration(app, "--retain_jobs_for", &flags->retention.age, absl::Seconds(1),
              absl::InfiniteDuration(),
              "Jobs that ended longer ago are deleted, with their artifacts; inf: never");
  add("--retain_artifact_bytes", &flags->retention.artifact_bytes,
      "When the data folder's artifacts are larger, the jobs that ended first are deleted; 0: "
      "never");
  AddDuration(app, "--retention_check_every", &flags->retention.check_every,
              absl::Milliseconds(100), kDay, "How often that is looked at");
  AddDuration(app, "--task_timeout", &flags->task_timeout, absl::Seconds(1), kTenYears,
              "A task without progress for so long is taken for stuck; a job may ask for less");
  AddDuration(app, "--worker_lease", &flags->worker_lease, absl::Seconds(1), kDay,
              "A worker that is silent for so long is taken for hung");
}

// NVIDIA's, by the driver's device files: the server has no libraries to ask.
int CountCards() {
  std::error_code error;
  int count = 0;
  for (const auto& file : std::filesystem::directory_iterator("/dev", error)) {
    const std::string name = file.path().filename();
    constexpr absl::string_view kPrefix = "nvidia";
    count += name.size() > kPrefix.size() && absl::StartsWith(name, kPrefix) &&
             std::all_of(name.begin() + kPrefix.size(), name.end(), absl::ascii_isdigit);
  }
  return count;
}

void AddWorkFlags(CLI::App& app, StockpotdFlags* flags) {
  app.add_option("--data_folder", flags->data_folder,
                 "Jobs, facts, artifacts/ and cache/; made when missing")
      ->capture_default_str();
  app.add_option(
         "--workers", flags->workers,
         "Worker processes of this machine; 0: none, jobs wait for those of --worker_listen")
      ->check(CLI::Range(0, 1024))
      ->default_str("one for each card or, without cards, for each core up to 8");
  app.add_option("--reading_workers", flags->reading_workers,
                 "Workers beside these that run no model: they download, inspect and decode while "
                 "the others measure")
      ->check(CLI::Range(0, 1024))
      ->default_str("with --allowed_uri_prefix as many as --workers, up to 4; else none");
  app.add_option("--device", flags->device,
                 "Where workers compute: auto (a card for each where cards are found, else the "
                 "CPU), cpu, cuda or cuda:N")
      ->capture_default_str();
  app.add_option("--threads_per_worker", flags->threads_per_worker,
                 "CPU threads of a worker; 0: the cores shared out evenly")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--max_data_cache_bytes", flags->max_data_cache_bytes,
                 "The most that decoded data sets take in the data folder's cache; the least "
                 "recently used go first, and images that are more by themselves are decoded in "
                 "every pass. 0: no bound")
      ->capture_default_str();
  app.add_option("--worker_binary", flags->worker_binary, "The program that workers run")
      ->capture_default_str();
  app.add_option(
         "--allowed_root", flags->allowed_roots,
         "Checkpoints and data may be read below this folder; may be given many times. None: "
         "nothing may be read")
      ->take_all();
  app.add_option("--allowed_architecture_prefix", flags->allowed_architecture_prefixes,
                 "Architectures, which are programs, may be loaded from this file, or below this "
                 "folder or URI; may be given many times. None: no job can run")
      ->take_all();
  app.add_option(
         "--allowed_compiled_architecture_prefix", flags->allowed_compiled_architecture_prefixes,
         "What may, below --allowed_architecture_prefix, be an AOTInductor package: machine "
         "code that can do all that a worker can; may be given many times. None: TorchScript "
         "alone")
      ->take_all();
  app.add_option("--allowed_output_root", flags->allowed_output_roots,
                 "Jobs may write their artifacts (output_uri) below this folder; may be given many "
                 "times. None: only to the data folder")
      ->take_all();
}

bool IsOff(const std::string& listen) { return listen.empty() || listen == "off"; }

// A certificate alone is not enough here, unlike at --listen: whoever has one would be a worker.
absl::Status CheckWorkerListen(const StockpotdFlags& flags) {
  if (flags.worker_listen.empty()) return absl::OkStatus();
  const absl::string_view has_tls =
      flags.tls.empty() ? "--tls_certificate_file and --tls_key_file" : "";
  const absl::string_view has_access = flags.access_file.empty() ? "--access_file" : "";
  const bool is_safe = has_tls.empty() && has_access.empty();
  if (!IsLoopbackAddress(flags.worker_listen) && !is_safe && !flags.allow_insecure_remote) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--worker_listen=", flags.worker_listen, " is reachable from other machines: give ",
        has_tls, has_tls.empty() || has_access.empty() ? "" : ", and ", has_access,
        " (workers are of the role worker); or say --allow_insecure_remote"));
  }
  if (std::filesystem::path(flags.data_folder).is_absolute()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--data_folder=", flags.data_folder,
                   " must be absolute with --worker_listen: workers mount it at the same path"));
}

}  // namespace

std::optional<int> ParseStockpotdFlags(int argc, const char* const* argv, StockpotdFlags* flags) {
  flags->data_folder = DefaultDataFolder();
  flags->worker_binary = BesideThisProgram("stockpot-worker");
  CLI::App app("stockpotd: makes model soups. Clients speak gRPC to it (stockpot.v1.SoupService).",
               "stockpotd");
  // A flag given twice: the last one counts, so that scripts can add to a list of defaults.
  app.option_defaults()->take_last();
  app.footer(kFooter);
  app.set_version_flag("--version", "stockpotd " STOCKPOT_VERSION)->configurable(false);
  app.set_config("--config", "", "Read flags from this YAML file; those given here win")
      ->type_name("FILE")
      ->configurable(false);
  const auto file = std::make_shared<YamlConfig>(&app);
  app.config_formatter(file);
  AddServingFlags(app, flags);
  AddWorkFlags(app, flags);
  AddRemoteFlags(&app, &flags->remote);
  AddLimitFlags(app, flags);
  app.add_flag("--verbose", flags->verbose, "Log more");
  app.add_flag("--check_config", flags->check_config,
               "Check flags and file, say what is wrong, and exit; nothing is started or made")
      ->configurable(false);
  app.add_flag("--check_store", flags->check_store,
               "Check the data folder's store and artifacts, print what was found, and exit; "
               "nothing is changed. Refused while a server uses the folder")
      ->configurable(false);
  if (const std::optional<int> exit_code = ParseOrExplain(&app, *file, argc, argv)) {
    return exit_code;
  }
  if (IsOff(flags->metrics_listen)) flags->metrics_listen.clear();
  if (IsOff(flags->worker_listen)) flags->worker_listen.clear();
  const int cores = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  if (flags->workers < 0) flags->workers = DefaultWorkers(flags->device, cores, CountCards());
  if (flags->reading_workers < 0) {
    constexpr int kMostThatRead = 4;  // each has several connections of its own
    const bool reads_elsewhere = !flags->remote.access.allowed_uri_prefixes.empty();
    flags->reading_workers = reads_elsewhere ? std::min(flags->workers, kMostThatRead) : 0;
  }
  if (flags->threads_per_worker == 0) {
    flags->threads_per_worker = std::max(1, cores / std::max(1, flags->workers));
  }
  return std::nullopt;
}

int DefaultWorkers(const std::string& device, int cores, int cards) {
  constexpr int kMostOnTheProcessor = 8;
  if (device != "cpu" && device != "auto") return 1;
  if (device == "auto" && cards > 0) return cards;
  return std::min(cores, kMostOnTheProcessor);
}

absl::StatusOr<AllowList> AllowedBy(const StockpotdFlags& flags) {
  return AllowList::Create(flags.allowed_roots, flags.allowed_architecture_prefixes,
                           flags.allowed_output_roots, flags.remote.access.allowed_uri_prefixes,
                           flags.remote.access.allowed_output_uri_prefixes);
}

absl::Status CheckStockpotdFlags(const StockpotdFlags& flags) {
  RETURN_IF_ERROR(CheckCertificateFiles(flags.tls));
  const bool asks_who = !flags.access_file.empty() ||
                        (!flags.tls.client_ca.empty() && !flags.tls.client_certificate_optional);
  const bool is_safe = !flags.tls.empty() && asks_who;
  if (!IsLoopbackAddress(flags.listen) && !is_safe && !flags.allow_insecure_remote) {
    return absl::InvalidArgumentError(
        absl::StrCat("--listen=", flags.listen, " is reachable from other machines: give ",
                     flags.tls.empty() ? "--tls_certificate_file and --tls_key_file" : "",
                     flags.tls.empty() && !asks_who ? ", and " : "",
                     asks_who ? "" : "--access_file or --tls_client_ca_file",
                     "; or listen on 127.0.0.1 behind a proxy, or say --allow_insecure_remote"));
  }
  RETURN_IF_ERROR(CheckWorkerListen(flags));
  if (!flags.access_file.empty()) {
    SystemClock clock;
    const std::unique_ptr<Log> log = Log::ToStandardError("stockpotd", false);
    RETURN_IF_ERROR(Annotate(AccessFile::Open(flags.access_file, &clock, log.get()).status(),
                             absl::StrCat("--access_file=", flags.access_file)));
  }
  if (flags.workers + flags.reading_workers > 0 && access(flags.worker_binary.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--worker_binary=", flags.worker_binary,
                     " is not a program that can be run; build stockpot-worker beside stockpotd"));
  }
  RETURN_IF_ERROR(Annotate(
      AllowedBy(flags).status(),
      "--allowed_root, --allowed_architecture_prefix, --allowed_output_root, --allowed_uri_prefix "
      "or --allowed_output_uri_prefix"));
  RETURN_IF_ERROR(
      Annotate(AllowList::Create({}, flags.allowed_compiled_architecture_prefixes).status(),
               "--allowed_compiled_architecture_prefix"));
  return CheckRemoteAccess(flags.remote.access);
}

}  // namespace stockpot
