// The flags of stockpot-worker. A child of stockpotd gets all of them from it; a worker on another
// machine may read them from stockpotd's own configuration file (--config), of which it takes what
// the two programs have in common. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_MAIN_WORKER_FLAGS_H_
#define STOCKPOT_SERVER_MAIN_WORKER_FLAGS_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/main/remote_flags.h"
#include "server/main/worker_credentials.h"

namespace stockpot {

struct WorkerFlags {
  std::string server;
  std::string worker_id;  // "": on another machine
  std::string device = "auto";
  int threads = 0;
  absl::Duration heartbeat = absl::Seconds(2);
  std::string cache_folder;
  uint64_t max_data_cache_bytes = 50'000'000'000;  // of decoded data sets; 0: no bound
  std::vector<std::string> allowed_roots;
  std::vector<std::string> allowed_architecture_prefixes, allowed_compiled_architecture_prefixes;
  RemoteFlags remote;
  bool verbose = false;

  // Of a worker on another machine.
  std::string data_folder;
  WorkerCredentialFlags credentials;
  absl::Duration drain_timeout = absl::Seconds(10);
  std::string ready_file;

  bool is_child() const { return !worker_id.empty(); }
};

// Reads command line and file; prints help, the version or what is wrong. A value: exit with it.
std::optional<int> ParseWorkerFlags(int argc, const char* const* argv, WorkerFlags* flags);

// What a flag alone cannot tell, and defaults that hang on others. Errors: INVALID_ARGUMENT, naming
// the flag.
absl::Status CompleteWorkerFlags(WorkerFlags* flags);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_WORKER_FLAGS_H_
