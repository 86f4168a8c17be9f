// stockpotd's flags, from the command line and from a configuration file (config_file.h).
// Thread safety: plain data.
#ifndef STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_
#define STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/control/access/certificate_files.h"
#include "server/control/job/engine.h"
#include "server/main/config_file.h"
#include "server/main/remote_flags.h"
#include "server/storage/local_path.h"

namespace stockpot {

// What stockpotd's exit code says; --help lists them too.
inline constexpr int kExitStopped = 0;  // stopped by SIGTERM or SIGINT, drained; or: all is well
inline constexpr int kExitFailed = 1;   // could not start: a port or the data folder is taken, …
// 2, kExitBadFlags of config_file.h: flags that do not go together, or cannot be used here
inline constexpr int kExitDamaged = 3;  // --check_store found something wrong
// 128 + the signal: a second signal ended it at once.

struct StockpotdFlags {
  std::string listen = "127.0.0.1:8433";
  bool allow_insecure_remote = false;
  CertificateFiles tls;
  std::string access_file;                    // "": everybody may do everything
  double max_calls_per_second_of_client = 0;  // 0: no limit
  std::string health_listen;                  // "": health is asked at `listen`
  std::string worker_listen;                  // "": no workers on other machines
  std::string port_file;
  std::string metrics_listen = "127.0.0.1:9464";
  int max_message_bytes = 4 << 20;
  absl::Duration drain_delay = absl::ZeroDuration();
  absl::Duration drain_timeout = absl::Seconds(10);

  std::string data_folder;
  int workers = -1;          // until DefaultWorkers() is asked
  int reading_workers = -1;  // until ParseStockpotdFlags() has chosen
  std::string device = "auto";
  int threads_per_worker = 0;
  std::string worker_binary;
  absl::Duration worker_lease = absl::Seconds(30);
  absl::Duration task_timeout = absl::Hours(1);
  std::vector<std::string> allowed_roots;
  std::vector<std::string> allowed_architecture_prefixes;
  std::vector<std::string> allowed_compiled_architecture_prefixes;
  std::vector<std::string> allowed_output_roots;
  RemoteFlags remote;
  uint64_t max_data_cache_bytes = 50'000'000'000;  // of decoded data sets; 0: no bound

  EngineLimits limits;
  Retention retention;

  bool verbose = false;
  bool check_config = false;
  bool check_store = false;

  std::string artifact_folder() const { return data_folder + "/artifacts"; }
};

// Reads command line and file; prints help, the version or what is wrong. A value: exit with it.
std::optional<int> ParseStockpotdFlags(int argc, const char* const* argv, StockpotdFlags* flags);

// Without --workers: one for each card; without cards one for each core, each with the cores shared
// out evenly, because a small model's passes are so short that what a worker does between two of
// them counts (on two cores, the shared sweep took one worker of two threads as long: 29.3 and
// 30.3 s against 29.6 and 30.0). Not more than eight then, for each holds a model.
int DefaultWorkers(const std::string& device, int cores, int cards);

// What clients' URIs may name. Errors: of AllowList::Create.
absl::StatusOr<AllowList> AllowedBy(const StockpotdFlags& flags);

// What a flag alone cannot tell. Errors: INVALID_ARGUMENT or FAILED_PRECONDITION, naming the flag.
absl::Status CheckStockpotdFlags(const StockpotdFlags& flags);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_
