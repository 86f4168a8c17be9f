// How a connection is secured, and what it shows to be known. Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_CHANNEL_SECURITY_H_
#define STOCKPOT_CLIENT_CLI_CHANNEL_SECURITY_H_

#include <grpcpp/security/credentials.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"

namespace stockpot::cli {

struct SecurityFlags {
  bool tls = false;                        // with the system's certificate authorities
  std::string ca_file;                     // in their place; means tls
  std::string certificate_file, key_file;  // mutual TLS; means tls
  std::string token_file;
  std::string token;  // of the environment
  bool allow_insecure_token = false;
};

struct ChannelSecurity {
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  std::string token;  // "": none
};

bool UsesTls(const SecurityFlags& flags);

// Reads the files. A token goes in plaintext to this machine only, unless that is allowed.
// Errors: INVALID_ARGUMENT, naming the flag; never what is in a file.
absl::StatusOr<ChannelSecurity> OpenChannelSecurity(const SecurityFlags& flags,
                                                    const std::string& server);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_CHANNEL_SECURITY_H_
