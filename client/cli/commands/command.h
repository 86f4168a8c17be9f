// What every command of `stockpot` shares: the flags that all have, and how a command is declared.
// A command is a pair: Add…Command declares its flags, and the function it leaves in `chosen` runs
// it; a Command asks the server, a LocalCommand does not. Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_
#define STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_

#include <CLI/App.hpp>
#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/cli/connection.h"
#include "client/cli/contexts.h"
#include "client/cli/environment.h"

namespace stockpot::cli {

// Flags of all commands.
struct CommonFlags {
  Target target;
  std::string context;
  double timeout_seconds = 30;  // of calls that answer at once
  double reconnect_timeout_seconds = 300;
  bool json = false;
  bool quiet = false;
  bool verbose = false;

  absl::Duration reconnect_timeout() const { return absl::Seconds(reconnect_timeout_seconds); }
};

struct CommandContext {
  const CommonFlags& flags;
  Environment& environment;
  Connection& connection;
};

// Gives the exit code, or the error to print.
using Command = std::function<absl::StatusOr<int>(CommandContext&)>;
using LocalCommand = std::function<absl::StatusOr<int>(const CommonFlags&, Environment&)>;

// Runs `command` with a connection to `target`. Errors: those of OpenChannelSecurity, and its own.
absl::StatusOr<int> AskServerAt(const Target& target, const CommonFlags& flags,
                                Environment& environment, const Command& command);

void AddSubmitCommand(CLI::App& app, Command& chosen);
void AddWatchCommand(CLI::App& app, Command& chosen);
void AddJobCommands(CLI::App& app, Command& chosen);  // get, cancel, retry, delete
void AddReportCommand(CLI::App& app, Command& chosen);
void AddListCommand(CLI::App& app, Command& chosen);
void AddDownloadCommand(CLI::App& app, Command& chosen);
void AddInspectCommand(CLI::App& app, Command& chosen);
void AddVerifyCommand(CLI::App& app, Command& chosen);
void AddCapabilitiesCommand(CLI::App& app, Command& chosen);

void AddCompletionCommand(CLI::App& app, LocalCommand& chosen);
void AddContextCommand(CLI::App& app, LocalCommand& chosen);
void AddInitCommand(CLI::App& app, LocalCommand& chosen);
void AddMergeCommand(CLI::App& app, LocalCommand& chosen);
void AddRunCommand(CLI::App& app, LocalCommand& chosen);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_COMMANDS_COMMAND_H_
