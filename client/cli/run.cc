#include "client/cli/run.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/errors.h"
#include "client/cli/guard.h"

namespace stockpot::cli {
namespace {

constexpr char kFooter[] =
    "The connection is plaintext in this release: stay on one host or a trusted network.\n"
    "Jobs are named jobs/x or x. Paths are made absolute and read by the server; merge asks none.\n"
    "\n"
    "--json writes one JSON object a line, in the proto's JSON mapping: submit, watch and "
    "download\n"
    "write {\"job\":…}, {\"event\":…} and {\"file\":…}; other commands the message itself.\n"
    "NO_COLOR turns colours off; they are used on a terminal only.\n"
    "\n"
    "Exit codes: 0 success, 1 the job failed or the soup is not what its manifest says,\n"
    "2 bad input or usage, 3 the job was cancelled,\n"
    "4 the server cannot be reached, 5 anything else, 130 interrupted by Ctrl-C.";

void AddCommonFlags(CLI::App& app, CommonFlags& flags) {
  app.add_option("--server", flags.server,
                 "HOST:PORT or unix:PATH (default: $STOCKPOT_SERVER, else 127.0.0.1:8433)")
      ->type_name("ADDRESS");
  app.add_option("--client", flags.client,
                 "Who asks, for the server's limits and fair sharing (default: $STOCKPOT_CLIENT)")
      ->type_name("NAME");
  app.add_option("--call-timeout", flags.timeout_seconds,
                 "For calls that answer at once (default 30)")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  app.add_option("--reconnect-timeout", flags.reconnect_timeout_seconds,
                 "How long to try again when the connection is lost (default 300)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  app.add_flag("--json", flags.json, "One JSON object a line, for scripts");
  app.add_flag("-q,--quiet", flags.quiet, "Only what was asked for and errors");
}

// What a command line asks for: a command, or words to print (help, version) and nothing to run.
struct Parsed {
  Command command;
  std::string words;
};

absl::StatusOr<Parsed> Parse(const std::vector<std::string>& arguments, CommonFlags& flags) {
  return Guard([&] {
    CLI::App app("stockpot: makes model soups on a Stockpot server", "stockpot");
    app.set_version_flag("--version", "stockpot " STOCKPOT_VERSION);
    app.require_subcommand(1);
    app.fallthrough();
    app.footer(kFooter);
    AddCommonFlags(app, flags);
    Parsed parsed;
    for (const auto add :
         {AddSubmitCommand, AddWatchCommand, AddJobCommands, AddListCommand, AddDownloadCommand,
          AddInspectCommand, AddMergeCommand, AddVerifyCommand, AddCapabilitiesCommand}) {
      add(app, parsed.command);
    }
    try {
      // CLI11 takes a vector from the back.
      app.parse(std::vector<std::string>(arguments.rbegin(), arguments.rend()));
    } catch (const CLI::Success& request) {
      std::ostringstream words;
      app.exit(request, words, words);
      parsed.words = words.str();
    }
    return parsed;
  });
}

// As proto/stockpot/v1/soup_service.proto says; gRPC ends the process over what no header may hold.
bool IsClientName(const std::string& name) {
  return name.size() <= 63 && std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '@' || c == '-';
         });
}

}  // namespace

int Run(const std::vector<std::string>& arguments, Environment& environment) {
  CommonFlags flags;
  if (!environment.server.empty()) flags.server = environment.server;
  flags.client = environment.client;
  const absl::StatusOr<Parsed> parsed = Parse(arguments, flags);
  const Style style(environment.error_colour);
  if (!parsed.ok()) {
    environment.error << FormatError(parsed.status(), style)
                      << "See: stockpot --help, and stockpot COMMAND --help\n";
    return kExitBadInput;
  }
  if (!parsed->words.empty()) {
    environment.out << parsed->words << std::flush;
    return kExitSuccess;
  }
  if (!IsClientName(flags.client)) {
    environment.error << FormatError(
        absl::InvalidArgumentError(
            "--client or $STOCKPOT_CLIENT: expected up to 63 of A-Z, a-z, 0-9 and . _ @ -"),
        style);
    return kExitBadInput;
  }
  Connection connection({flags.server, flags.client, absl::Seconds(flags.timeout_seconds)},
                        environment.interruption);
  CommandContext context{flags, environment, connection};
  const absl::StatusOr<int> code = parsed->command(context);
  if (code.ok()) return *code;
  if (environment.interruption.triggered()) return kExitInterrupted;
  environment.error << FormatError(code.status(), style);
  return ExitCode(code.status());
}

}  // namespace stockpot::cli
