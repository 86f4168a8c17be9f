#include "server/main/worker_flags.h"

#include <CLI/CLI.hpp>
#include <filesystem>
#include <memory>

#include "absl/strings/str_cat.h"
#include "server/main/config_file.h"

namespace stockpot {
namespace {

constexpr const char* kWorkerFooter =
    "On another machine than stockpotd's: --server=HOST:PORT of its --worker_listen, a token or "
    "certificate of the role worker, its data folder at the same path, and the same --allowed_… "
    "flags; best the same file, --config: keys that are stockpotd's alone are left to it. SIGTERM "
    "and SIGINT give the running task --drain_timeout, then it is handed back; a second one ends "
    "the worker at once. Exit codes: 0 asked to end; 1 something that waiting does not mend, such "
    "as a refused token or another release; 2 flags.";

void AddDurationFlag(CLI::App* app, const std::string& name, absl::Duration* value,
                     absl::Duration least, const std::string& help) {
  app->add_option_function<std::string>(
         name,
         [=](const std::string& text) {
           if (absl::ParseDuration(text, value) && *value >= least) return;
           throw CLI::ValidationError(
               absl::StrCat(name, ": '", text, "' is not a duration such as 2s or 1m30s, at least ",
                            absl::FormatDuration(least)));
         },
         help)
      ->type_name("DURATION")
      ->default_str(absl::FormatDuration(*value));
}

void AddWorkerFlags(CLI::App* app, WorkerFlags* flags) {
  app->add_option("--server", flags->server,
                  "Where stockpotd listens for workers: HOST:PORT or, for children, unix:/path")
      ->required();
  app->add_option("--worker_id", flags->worker_id,
                  "The name stockpotd knows its child by; not on other machines")
      ->configurable(false);
  app->add_option(
         "--device", flags->device,
         "auto, auto:N (the Nth card, counted round), cpu, cuda, cuda:N, or none: reads and "
         "writes files for those that have one")
      ->capture_default_str();
  app->add_option("--threads", flags->threads, "CPU threads for one model; 0: one per core")
      ->check(CLI::Range(0, 4096));
  AddDurationFlag(app, "--heartbeat", &flags->heartbeat, absl::Milliseconds(1),
                  "A running task is heard of no less often");
  app->add_option("--data_folder", flags->data_folder,
                  "stockpotd's, at the same path: its artifacts/ is written, its cache/ shared");
  app->add_option(
      "--cache_folder", flags->cache_folder,
      "Where decoded data sets, kept logits and downloads are. Without it cache/ of "
      "--data_folder; a folder of this machine does too: what others keep is made again");
  app->add_option("--max_data_cache_bytes", flags->max_data_cache_bytes,
                  "The most that decoded data sets take there; images that are more are decoded in "
                  "every pass. 0: no bound")
      ->capture_default_str();
  app->add_option("--allowed_root", flags->allowed_roots,
                  "Folder below which checkpoints and data may be read; repeatable")
      ->take_all();
  app->add_option("--allowed_architecture_prefix", flags->allowed_architecture_prefixes,
                  "Folder, file or URI that architectures may be loaded from; repeatable")
      ->take_all();
  app->add_option("--allowed_compiled_architecture_prefix",
                  flags->allowed_compiled_architecture_prefixes,
                  "Among those, what may be AOTInductor packages, machine code; repeatable")
      ->take_all();
  AddRemoteFlags(app, &flags->remote);
  AddCredentialFlags(app, &flags->credentials);
  AddDurationFlag(app, "--drain_timeout", &flags->drain_timeout, absl::ZeroDuration(),
                  "How long a running task gets to finish when the worker is stopped");
  app->add_option("--ready_file", flags->ready_file,
                  "A file that is there, and new every few seconds, while the worker is connected");
  app->add_flag("--verbose", flags->verbose, "Log more");
}

}  // namespace

std::optional<int> ParseWorkerFlags(int argc, const char* const* argv, WorkerFlags* flags) {
  CLI::App app("Runs models for stockpotd, which starts it; by hand on other machines.",
               "stockpot-worker");
  app.option_defaults()->take_last();
  app.footer(kWorkerFooter);
  app.set_version_flag("--version", "stockpot-worker " STOCKPOT_VERSION)->configurable(false);
  app.set_config("--config", "", "Read flags from stockpotd's YAML file; those given here win")
      ->type_name("FILE")
      ->configurable(false);
  const auto file = std::make_shared<YamlConfig>(&app, YamlConfig::Unknown::kSkip);
  app.config_formatter(file);
  AddWorkerFlags(&app, flags);
  return ParseOrExplain(&app, *file, argc, argv);
}

absl::Status CompleteWorkerFlags(WorkerFlags* flags) {
  if (flags->is_child()) {
    if (!flags->cache_folder.empty()) return absl::OkStatus();
    return absl::InvalidArgumentError("--cache_folder is needed with --worker_id");
  }
  if (!std::filesystem::path(flags->data_folder).is_absolute()) {
    return absl::InvalidArgumentError(
        absl::StrCat("--data_folder=", flags->data_folder,
                     " must be stockpotd's, by the absolute path that it has there too"));
  }
  if (flags->cache_folder.empty()) flags->cache_folder = flags->data_folder + "/cache";
  return OpenWorkerCredentials(flags->credentials, flags->server).status();
}

}  // namespace stockpot
