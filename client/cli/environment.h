// What the client sees of the process around it, so that tests can put their own in.
// Thread safety: confined to the thread that runs the command, except Interruption.
#ifndef STOCKPOT_CLIENT_CLI_ENVIRONMENT_H_
#define STOCKPOT_CLIENT_CLI_ENVIRONMENT_H_

#include <functional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/interruption.h"
#include "client/cli/sibling_program.h"

namespace stockpot::cli {

struct Environment {
  Environment(std::ostream& out_stream, std::ostream& error_stream, Interruption& ctrl_c)
      : out(out_stream),
        error(error_stream),
        interruption(ctrl_c),
        wait([&ctrl_c](absl::Duration duration) { return ctrl_c.Wait(duration); }) {}

  std::ostream& out;
  std::ostream& error;
  Interruption& interruption;
  bool terminal = false;      // `out` is a terminal: one rewritten progress line
  bool colour = false;        // `out` takes colours
  bool error_colour = false;  // `error` takes colours
  std::function<int()> width = [] { return 80; };
  std::string server;  // STOCKPOT_SERVER; empty: the default
  std::string client;  // STOCKPOT_CLIENT
  std::function<absl::Time()> now = absl::Now;
  // Goes on as another program: sibling_program.h.
  std::function<absl::StatusOr<int>(const std::vector<std::string>&)> become_sibling =
      BecomeSibling;
  // Waits; false when interrupted meanwhile.
  std::function<bool(absl::Duration)> wait;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_ENVIRONMENT_H_
