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

int TerminalWidth() {
  winsize size{};
  return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
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
  environment.width = TerminalWidth;
  environment.server = Variable("STOCKPOT_SERVER");
  environment.client = Variable("STOCKPOT_CLIENT");
  return stockpot::cli::Run(std::vector<std::string>(argv + 1, argv + argc), environment);
}
