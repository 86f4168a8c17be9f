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
    "Where the server is, who asks, TLS and token: flags beat the environment, which beats the\n"
    "context. A server that a flag or the environment names gets nothing of a context.\n"
    "A token is read from --token-file or $STOCKPOT_TOKEN. Without --tls, --ca-file or a\n"
    "certificate the connection is plaintext.\n"
    "Jobs are named jobs/x or x. Paths are made absolute and read by the server; run, merge and\n"
    "init need none.\n"
    "\n"
    "--json writes one JSON object a line, in the proto's JSON mapping: submit, watch and "
    "download\n"
    "write {\"job\":…}, {\"event\":…} and {\"file\":…}; other commands the message itself.\n"
    "$TRACEPARENT (W3C Trace Context) goes with every call, for the server's log.\n"
    "NO_COLOR turns colours off; they are used on a terminal only.\n"
    "\n"
    "Exit codes: 0 success, 1 the job failed or the soup is not what its manifest says,\n"
    "2 bad input or usage, 3 the job was cancelled,\n"
    "4 the server cannot be reached, 5 anything else, 130 interrupted by Ctrl-C or told to end.";

constexpr char kDefaultServer[] = "127.0.0.1:8433";

void AddCommonFlags(CLI::App& app, CommonFlags& flags) {
  CLI::Option* server =
      app.add_option("--server", flags.target.server,
                     "HOST:PORT or unix:PATH (default: $STOCKPOT_SERVER, else the context's, else "
                     "127.0.0.1:8433)")
          ->type_name("ADDRESS");
  app.add_option("--context", flags.context,
                 "The server by its name (stockpot context; default: $STOCKPOT_CONTEXT, else the "
                 "current one)")
      ->excludes(server)
      ->type_name("NAME");
  app.add_option("--client", flags.target.client,
                 "Who asks, for the server's limits and fair sharing (default: $STOCKPOT_CLIENT)")
      ->type_name("NAME");
  app.add_flag("--tls", flags.target.security.tls, "Connect with TLS and the system's authorities");
  app.add_option("--ca-file", flags.target.security.ca_file,
                 "Connect with TLS and these authorities, PEM (default: $STOCKPOT_CA_FILE)")
      ->type_name("FILE");
  app.add_option("--certificate-file", flags.target.security.certificate_file,
                 "The client's certificate, PEM, for mutual TLS")
      ->type_name("FILE");
  app.add_option("--key-file", flags.target.security.key_file, "Its private key, PEM")
      ->type_name("FILE");
  app.add_option("--token-file", flags.target.security.token_file,
                 "A file with the token that says who asks (default: $STOCKPOT_TOKEN_FILE)")
      ->type_name("FILE");
  app.add_flag("--allow-insecure-token", flags.target.security.allow_insecure_token,
               "Send the token although the connection to another machine is plaintext");
  app.add_option("--call-timeout", flags.timeout_seconds,
                 "For calls that answer at once (default 30)")
      ->check(CLI::PositiveNumber)
      ->type_name("SECONDS");
  app.add_option("--reconnect-timeout", flags.reconnect_timeout_seconds,
                 "How long to try again when the connection is lost (default 300)")
      ->check(CLI::NonNegativeNumber)
      ->type_name("SECONDS");
  app.add_flag("--json", flags.json, "One JSON object a line, for scripts");
  CLI::Option* quiet =
      app.add_flag("-q,--quiet", flags.quiet, "Only what was asked for and errors");
  app.add_flag("-v,--verbose", flags.verbose,
               "Tell of each call on standard error, with the id that the server's log has")
      ->excludes(quiet);
}

// What a command line asks for: a command, or words to print (help, version) and nothing to run.
struct Parsed {
  Command command;
  LocalCommand local;
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
         {AddSubmitCommand, AddWatchCommand, AddJobCommands, AddReportCommand, AddListCommand,
          AddDownloadCommand, AddInspectCommand, AddVerifyCommand, AddCapabilitiesCommand}) {
      add(app, parsed.command);
    }
    for (const auto add : {AddRunCommand, AddMergeCommand, AddInitCommand, AddContextCommand,
                           AddCompletionCommand}) {
      add(app, parsed.local);
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

// Flags beat the environment, which beats the context. A context is for its own server: where a
// flag or, without --context, the environment names one, no token of the context goes there.
absl::StatusOr<Target> ChooseTarget(const CommonFlags& flags, const Environment& environment) {
  Target target = flags.target;
  Target variables = environment.target;
  if (!flags.context.empty()) variables.server.clear();
  FillIn(target, variables);
  if (target.server.empty()) {
    const absl::StatusOr<Contexts> contexts = ReadContexts(environment.context_file);
    if (!contexts.ok()) return contexts.status();
    std::string name = flags.context.empty() ? environment.context : flags.context;
    if (name.empty()) name = contexts->current;
    const absl::StatusOr<Target> context = name.empty() ? Target() : FindContext(*contexts, name);
    if (!context.ok()) return context.status();
    FillIn(target, *context);
  }
  if (target.server.empty()) target.server = kDefaultServer;
  return target;
}

absl::StatusOr<int> AskServer(const Command& command, const CommonFlags& flags,
                              Environment& environment) {
  const absl::StatusOr<Target> target = ChooseTarget(flags, environment);
  if (!target.ok()) return target.status();
  if (!IsClientName(target->client)) {
    return absl::InvalidArgumentError(
        "--client or $STOCKPOT_CLIENT: expected up to 63 of A-Z, a-z, 0-9 and . _ @ -");
  }
  return AskServerAt(*target, flags, environment, command);
}

}  // namespace

int Run(const std::vector<std::string>& arguments, Environment& environment) {
  CommonFlags flags;
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
  const absl::StatusOr<int> code = parsed->local ? parsed->local(flags, environment)
                                                 : AskServer(parsed->command, flags, environment);
  if (code.ok()) return *code;
  if (environment.interruption.triggered()) return kExitInterrupted;
  environment.error << FormatError(code.status(), style);
  return ExitCode(code.status());
}

}  // namespace stockpot::cli
