// stockpotd's flags. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_
#define STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace stockpot {

// What stockpotd's exit code says; --help lists them too.
inline constexpr int kExitStopped = 0;   // stopped by SIGTERM or SIGINT, drained
inline constexpr int kExitFailed = 1;    // could not start: a port or the data folder is taken, …
inline constexpr int kExitBadFlags = 2;  // flags that do not go together, or cannot be used here
// 128 + the signal: a second signal ended it at once.

struct StockpotdFlags {
  std::string listen = "127.0.0.1:8433";
  bool allow_insecure_remote = false;
  std::string port_file;
  std::string data_folder;
  int workers = 1;
  std::string device = "auto";
  int threads_per_worker = 0;
  std::string worker_binary;
  std::vector<std::string> allowed_roots;
  std::vector<std::string> allowed_architecture_prefixes;
  std::string metrics_listen = "127.0.0.1:9464";
  int max_unfinished_jobs = 1000;
  int max_message_bytes = 4 << 20;
  double drain_timeout_seconds = 10;
  bool verbose = false;
  bool check_config = false;
};

// Reads the command line; prints help, the version or what is wrong. A value: exit with it.
std::optional<int> ParseStockpotdFlags(int argc, char** argv, StockpotdFlags* flags);

// What a flag alone cannot tell. Errors: INVALID_ARGUMENT or FAILED_PRECONDITION, naming the flag.
absl::Status CheckStockpotdFlags(const StockpotdFlags& flags);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_STOCKPOTD_FLAGS_H_
