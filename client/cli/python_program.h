// What the Python package of client/python does for this program.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_PYTHON_PROGRAM_H_
#define STOCKPOT_CLIENT_CLI_PYTHON_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stockpot::cli {

// Goes on as `python3 -m stockpot ARGUMENTS`, the python3 of the PATH, which reads `input` from
// standard input: same process, other streams and terminal; its exit code is this process's. Where
// the package is not installed it says how to, and exits with kExitOther. Comes back only with an
// error: NOT_FOUND no python3, INTERNAL.
absl::StatusOr<int> BecomePython(const std::vector<std::string>& arguments,
                                 const std::string& input);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PYTHON_PROGRAM_H_
