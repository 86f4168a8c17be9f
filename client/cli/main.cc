// stockpot: the command-line client. All it does is in run.h; here the process meets its terminal.
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

#include "client/cli/interruption.h"
#include "client/cli/run.h"

namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string ContextFile() {
  const std::string configuration = Variable("XDG_CONFIG_HOME");
  const std::string home = Variable("HOME");
  // What is not absolute does not count, as the XDG base directory specification says.
  if (!configuration.empty() && configuration[0] == '/') {
    return configuration + "/stockpot/contexts.yaml";
  }
  return home.empty() ? "" : home + "/.config/stockpot/contexts.yaml";
}

// What is not known is 0.
winsize TerminalSize() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 ? size : winsize{};
}

}  // namespace

int main(int argc, char** argv) {
  using stockpot::cli::Interruption;
  using stockpot::cli::SignalListener;

  Interruption interruption;
  // Before the first thread of gRPC, which must inherit the blocked signal.
  const SignalListener listener(&interruption);

  stockpot::cli::Environment environment(std::cout, std::cerr, interruption);
  const bool dumb = Variable("TERM") == "dumb";
  environment.terminal = isatty(STDOUT_FILENO) == 1 && !dumb;
  environment.colour = environment.terminal && Variable("NO_COLOR").empty();
  environment.error_colour = isatty(STDERR_FILENO) == 1 && !dumb && Variable("NO_COLOR").empty();
  environment.width = [] { return TerminalSize().ws_col > 0 ? TerminalSize().ws_col : 80; };
  environment.height = [] { return TerminalSize().ws_row > 0 ? TerminalSize().ws_row : 24; };
  environment.target.server = Variable("STOCKPOT_SERVER");
  environment.target.client = Variable("STOCKPOT_CLIENT");
  environment.target.security.ca_file = Variable("STOCKPOT_CA_FILE");
  environment.target.security.token_file = Variable("STOCKPOT_TOKEN_FILE");
  environment.target.security.token = Variable("STOCKPOT_TOKEN");
  environment.context = Variable("STOCKPOT_CONTEXT");
  environment.context_file = ContextFile();
  environment.traceparent = Variable("TRACEPARENT");
  return stockpot::cli::Run(std::vector<std::string>(argv + 1, argv + argc), environment);
}
