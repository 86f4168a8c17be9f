// What every command of `stockpot` shares: the flags that all have, and how a command is declared.
// A command is a pair: Add…Command declares its flags, and the function it leaves in `chosen` runs
// it. Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_
#define STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/connection.h"
#include "client/cli/environment.h"

namespace stockpot::cli {

// Flags of all commands.
struct CommonFlags {
  std::string server = "127.0.0.1:8433";  // HOST:PORT or unix:PATH
  std::string client;                     // who asks; "" is a client too
  double timeout_seconds = 30;            // of calls that answer at once
  double reconnect_timeout_seconds = 300;
  bool json = false;
  bool quiet = false;

  absl::Duration reconnect_timeout() const { return absl::Seconds(reconnect_timeout_seconds); }
};

struct CommandContext {
  const CommonFlags& flags;
  Environment& environment;
  Connection& connection;
};

// Gives the exit code, or the error to print.
using Command = std::function<absl::StatusOr<int>(CommandContext&)>;

void AddSubmitCommand(CLI::App& app, Command& chosen);
void AddWatchCommand(CLI::App& app, Command& chosen);
void AddJobCommands(CLI::App& app, Command& chosen);  // get, report, cancel, retry, delete
void AddListCommand(CLI::App& app, Command& chosen);
void AddDownloadCommand(CLI::App& app, Command& chosen);
void AddInspectCommand(CLI::App& app, Command& chosen);
void AddMergeCommand(CLI::App& app, Command& chosen);
void AddVerifyCommand(CLI::App& app, Command& chosen);
void AddCapabilitiesCommand(CLI::App& app, Command& chosen);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_
