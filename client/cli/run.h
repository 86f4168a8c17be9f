// client/cli: the command-line client `stockpot`, as a library that tests can run.
//
// Speaks the public API and nothing else: it knows no header of the server. Exceptions of CLI11,
// yaml-cpp and nlohmann-json end in guard.h.
//
// Thread safety: Run is confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_RUN_H_
#define STOCKPOT_CLIENT_CLI_RUN_H_

#include <string>
#include <vector>

#include "client/cli/environment.h"

namespace stockpot::cli {

// Runs one command line, without the program's name. Gives the exit code (exit_code.h).
int Run(const std::vector<std::string>& arguments, Environment& environment);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_RUN_H_
