// The servers that a user knows by name: a YAML file, by default ~/.config/stockpot/contexts.yaml.
//
//   current: lab
//   contexts:
//     lab: {server: "lab.example.com:8433", ca_file: /etc/stockpot/ca.pem, token_file:
//     /home/me/token} here: {server: "127.0.0.1:8433"}
//
// It holds no secret, only the names of files that do: a `token` in it is refused.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_CONTEXTS_H_
#define STOCKPOT_CLIENT_CLI_CONTEXTS_H_

#include <map>
#include <string>

#include "absl/status/statusor.h"
#include "client/cli/channel_security.h"

namespace stockpot::cli {

// Where a server is, and how it is spoken to. "": not said.
struct Target {
  std::string server;  // HOST:PORT or unix:PATH
  std::string client;
  SecurityFlags security;
};

struct Contexts {
  std::string current;  // "": none
  std::map<std::string, Target> targets;
};

// A file that is not there holds none. Errors: INVALID_ARGUMENT with the path, line and column.
absl::StatusOr<Contexts> ReadContexts(const std::string& path);
// Replaces the file at once, or not at all; makes its folder. Comments are not kept. Errors:
// INTERNAL with the path.
absl::Status WriteContexts(const std::string& path, const Contexts& contexts);

// The one of this name. Errors: INVALID_ARGUMENT that names those there are.
absl::StatusOr<Target> FindContext(const Contexts& contexts, const std::string& name);

// Puts what `more` says where `target` says nothing. A token and a token's file are one thing.
void FillIn(Target& target, const Target& more);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_CONTEXTS_H_
