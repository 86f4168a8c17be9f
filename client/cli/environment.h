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
#include "client/cli/contexts.h"
#include "client/cli/interruption.h"
#include "client/cli/python_program.h"
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
  bool terminal = false;      // `out` is a terminal: progress is rewritten in place
  bool colour = false;        // `out` takes colours
  bool error_colour = false;  // `error` takes colours
  std::function<int()> width = [] { return 80; };   // of the terminal, in columns
  std::function<int()> height = [] { return 24; };  // in lines
  Target target;             // STOCKPOT_SERVER, _CLIENT, _CA_FILE, _TOKEN_FILE, _TOKEN
  std::string context;       // STOCKPOT_CONTEXT
  std::string context_file;  // contexts.h; "": none
  std::string traceparent;   // TRACEPARENT, of W3C Trace Context: the trace that this is a part of
  std::function<absl::Time()> now = absl::Now;
  // Goes on as another program: sibling_program.h.
  std::function<absl::StatusOr<int>(const std::vector<std::string>&)> become_sibling =
      BecomeSibling;
  // Goes on as the Python package: python_program.h.
  std::function<absl::StatusOr<int>(const std::vector<std::string>&, const std::string&)>
      become_python = BecomePython;
  // Waits; false when interrupted meanwhile.
  std::function<bool(absl::Duration)> wait;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_ENVIRONMENT_H_
