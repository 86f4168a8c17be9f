// What went wrong, between three forms: grpc::Status of a call, google.rpc.Status of a job, and the
// absl::Status that the client works with (details travel as one payload). And its words for
// people, and the exit code for scripts. Thread safety: every function is thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_ERRORS_H_
#define STOCKPOT_CLIENT_CLI_ERRORS_H_

#include <grpcpp/support/status.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "client/cli/text.h"
#include "google/rpc/status.pb.h"

namespace stockpot::cli {

// Documented in --help: scripts rely on them.
inline constexpr int kExitSuccess = 0;
inline constexpr int kExitJobFailed = 1;
inline constexpr int kExitDifferent = 1;  // of verify
inline constexpr int kExitBadInput = 2;
inline constexpr int kExitCancelled = 3;
inline constexpr int kExitUnreachable = 4;
inline constexpr int kExitOther = 5;
inline constexpr int kExitInterrupted = 130;  // as shells say of SIGINT

absl::Status FromGrpc(const grpc::Status& status);
absl::Status FromRpc(const google::rpc::Status& status);
google::rpc::Status ToRpc(const absl::Status& status);

struct FieldProblem {
  std::string field;        // a path such as "ingredients[3].uri"
  std::string description;  // what is wrong and what would be right
};
// INVALID_ARGUMENT that names every field at fault, as the server would.
absl::Status InvalidFields(absl::string_view message, const std::vector<FieldProblem>& problems);

// "context: message", same code and details.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

// The server's RetryInfo; zero when there is none.
absl::Duration RetryDelay(const absl::Status& status);

int ExitCode(const absl::Status& status);

// `error: message`, then each violated field, the reason, its metadata and what to do, a line each.
std::string FormatError(const absl::Status& status, const Style& style);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_ERRORS_H_
