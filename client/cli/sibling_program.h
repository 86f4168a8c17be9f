// Programs that are installed beside `stockpot`, and others.
// Thread safety: confined to one thread.
#ifndef STOCKPOT_CLIENT_CLI_SIBLING_PROGRAM_H_
#define STOCKPOT_CLIENT_CLI_SIBLING_PROGRAM_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stockpot::cli {

// The path of a program beside this one, which has been looked for. Errors: NOT_FOUND not
// installed.
absl::StatusOr<std::string> SiblingPath(const std::string& name);

// Goes on as the program arguments[0], which lies in this program's folder, with these arguments:
// same process, standard streams and terminal; its exit code is this process's. Signals are as they
// were before SignalListener. Comes back only with an error: NOT_FOUND not installed, INTERNAL.
absl::StatusOr<int> BecomeSibling(const std::vector<std::string>& arguments);
// The same with any program, by its path or, without a /, looked for in the PATH.
absl::StatusOr<int> BecomeProgram(const std::string& program,
                                  const std::vector<std::string>& arguments);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_SIBLING_PROGRAM_H_
