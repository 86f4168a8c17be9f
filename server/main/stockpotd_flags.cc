#include "server/main/stockpotd_flags.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/server.h"
#include "server/storage/local_path.h"

namespace stockpot {
namespace {

constexpr const char* kFooter =
    "Exit codes: 0 stopped by a signal; 1 could not start (the port or the data folder is taken, "
    "…); 2 flags that cannot be used; 128 + signal: a second signal ended it at once.\n"
    "SIGTERM and SIGINT stop it: health says NOT_SERVING, watches end UNAVAILABLE, running tasks "
    "get --drain_timeout, workers stop. Nothing stored is lost, whatever ends it.";

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
               "Listen beyond loopback although there is no TLS and no authentication yet: anybody "
               "who reaches the port can make jobs and download soups");
  app.add_option("--port_file", flags->port_file,
                 "Write the HOST:PORT that was bound to this file once the server is ready");
  app.add_option("--metrics_listen", flags->metrics_listen,
                 "HOST:PORT of /metrics for Prometheus; port 0 takes a free one; off: none")
      ->capture_default_str();
  app.add_option("--max_unfinished_jobs", flags->max_unfinished_jobs,
                 "More are refused with RESOURCE_EXHAUSTED")
      ->check(CLI::Range(1, 1'000'000))
      ->capture_default_str();
  app.add_option("--max_message_bytes", flags->max_message_bytes, "Largest request")
      ->check(CLI::Range(1 << 10, 1 << 30))
      ->capture_default_str();
  app.add_option("--drain_timeout", flags->drain_timeout_seconds,
                 "Seconds that running tasks get to finish when the server is stopped")
      ->check(CLI::Range(0.0, 86'400.0))
      ->capture_default_str();
}

void AddWorkFlags(CLI::App& app, StockpotdFlags* flags) {
  app.add_option("--data_folder", flags->data_folder,
                 "Jobs, facts, artifacts/ and cache/; made when missing")
      ->capture_default_str();
  app.add_option("--workers", flags->workers, "Worker processes; 0: none, jobs wait")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--device", flags->device,
                 "Where workers compute: auto (a card for each where cards are found, else the "
                 "CPU), cpu, cuda or cuda:N")
      ->capture_default_str();
  app.add_option("--threads_per_worker", flags->threads_per_worker,
                 "CPU threads of a worker; 0: the cores shared out evenly")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.add_option("--worker_binary", flags->worker_binary, "The program that workers run")
      ->capture_default_str();
  app.add_option(
         "--allowed_root", flags->allowed_roots,
         "Checkpoints and data may be read below this folder; may be given many times. None: "
         "nothing may be read")
      ->take_all();
  app.add_option("--allowed_architecture_prefix", flags->allowed_architecture_prefixes,
                 "Architectures, which are programs, may be loaded from this file or below this "
                 "folder; may be given many times. None: no job can run")
      ->take_all();
}

bool IsOff(const std::string& listen) { return listen.empty() || listen == "off"; }

}  // namespace

std::optional<int> ParseStockpotdFlags(int argc, char** argv, StockpotdFlags* flags) {
  flags->data_folder = DefaultDataFolder();
  flags->worker_binary = BesideThisProgram("stockpot-worker");
  CLI::App app("stockpotd: makes model soups. Clients speak gRPC to it (stockpot.v1.SoupService).",
               "stockpotd");
  // A flag given twice: the last one counts, so that scripts can add to a list of defaults.
  app.option_defaults()->take_last();
  app.footer(kFooter);
  app.set_version_flag("--version", "stockpotd " STOCKPOT_VERSION);
  AddServingFlags(app, flags);
  AddWorkFlags(app, flags);
  app.add_flag("--verbose", flags->verbose, "Log more");
  app.add_flag("--check_config", flags->check_config,
               "Check the flags, say what is wrong, and exit; nothing is started or made");
  // CLI11 speaks in exceptions: help and version are two of them.
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? kExitStopped : kExitBadFlags;
  }
  if (IsOff(flags->metrics_listen)) flags->metrics_listen.clear();
  if (flags->threads_per_worker == 0) {
    const int cores = static_cast<int>(std::thread::hardware_concurrency());
    flags->threads_per_worker = std::max(1, cores / std::max(1, flags->workers));
  }
  return std::nullopt;
}

absl::Status CheckStockpotdFlags(const StockpotdFlags& flags) {
  if (!IsLoopbackAddress(flags.listen) && !flags.allow_insecure_remote) {
    return absl::InvalidArgumentError(absl::StrCat(
        "--listen=", flags.listen,
        " is reachable from other machines, and this release has no TLS and no authentication. "
        "Listen on 127.0.0.1 behind a proxy, or say --allow_insecure_remote"));
  }
  if (flags.workers > 0 && access(flags.worker_binary.c_str(), X_OK) != 0) {
    return absl::FailedPreconditionError(
        absl::StrCat("--worker_binary=", flags.worker_binary,
                     " is not a program that can be run; build stockpot-worker beside stockpotd"));
  }
  return Annotate(
      AllowList::Create(flags.allowed_roots, flags.allowed_architecture_prefixes).status(),
      "--allowed_root or --allowed_architecture_prefix");
}

}  // namespace stockpot
