// How a worker on another machine secures its connection, and what it shows: by the flags that
// `stockpot` has, with underscores. Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_MAIN_WORKER_CREDENTIALS_H_
#define STOCKPOT_SERVER_MAIN_WORKER_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>

#include <CLI/App.hpp>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stockpot {

struct WorkerCredentialFlags {
  bool tls = false;                        // with the system's certificate authorities
  std::string ca_file;                     // in their place; means tls
  std::string certificate_file, key_file;  // mutual TLS; means tls
  std::string token_file;
  bool allow_insecure_remote = false;

  bool uses_tls() const {
    return tls || !ca_file.empty() || !certificate_file.empty() || !key_file.empty();
  }
};

void AddCredentialFlags(CLI::App* app, WorkerCredentialFlags* flags);

struct WorkerCredentials {
  std::shared_ptr<grpc::ChannelCredentials> channel;
  std::string token;  // "": none
};

// Reads the files, which may be renewed between one call and the next. `server`: HOST:PORT;
// plaintext goes to this machine only, unless that is allowed. Errors: INVALID_ARGUMENT, naming the
// flag; of reading a file. Never what is in one.
absl::StatusOr<WorkerCredentials> OpenWorkerCredentials(const WorkerCredentialFlags& flags,
                                                        const std::string& server);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_MAIN_WORKER_CREDENTIALS_H_
