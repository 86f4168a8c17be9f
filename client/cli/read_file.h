// A file that the user names, read or written whole. Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_READ_FILE_H_
#define STOCKPOT_CLIENT_CLI_READ_FILE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stockpot::cli {

// Errors: NOT_FOUND, and INVALID_ARGUMENT for one of more than `max_mebibytes`; with the path.
absl::StatusOr<std::string> ReadFile(const std::string& path, uintmax_t max_mebibytes);

// In place of what is there. Errors: FAILED_PRECONDITION, with the path.
absl::Status WriteFile(const std::string& path, const std::string& content);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_READ_FILE_H_
