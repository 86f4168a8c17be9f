// A job file to begin with, which explains itself: what `stockpot init` writes.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_EXAMPLE_JOB_H_
#define STOCKPOT_CLIENT_CLI_EXAMPLE_JOB_H_

#include <string>
#include <vector>

namespace stockpot::cli {

// What the data sets hold: "images", "text", "tensors".
std::vector<std::string> ExampleKinds();

// YAML that ParseJobFile takes as it is; only its paths are made up. So it does once the `#` is
// taken from the lines that have no space behind it. `kind` is one of the above.
std::string ExampleJob(const std::string& kind);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_EXAMPLE_JOB_H_
