// Local paths of a command line or a job file, as the server is to see them.
// Thread safety: thread-safe.
#ifndef STOCKPOT_CLIENT_CLI_PATHS_H_
#define STOCKPOT_CLIENT_CLI_PATHS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace stockpot::cli {

// `path` below `folder` unless it is absolute, without "." and ".." parts. URIs (scheme://…) stay.
std::string AbsolutePath(const std::string& path, const std::string& folder);
// The same from the current folder.
std::string AbsolutePath(const std::string& path);

// An absolute path as a message says it: these hold UTF-8 alone, so that a path of other bytes
// becomes a file:// URI, percent-encoded.
std::string InMessage(const std::string& path);

// The files that match each pattern, absolute and in byte order within a pattern; each file once.
// A URI, and a path without wildcards, stands for itself and need not exist here: the server may be
// on another machine. Errors: INVALID_ARGUMENT when a pattern matches nothing.
absl::StatusOr<std::vector<std::string>> ExpandGlobs(const std::vector<std::string>& patterns);

// A URI with wildcards, for the server to look for: a '?' of http and https is no wildcard.
bool IsUriPattern(const std::string& path);

// Whether `file` (an artifact's name) stays below the folder it is written to.
bool IsSafeRelativePath(const std::string& file);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_PATHS_H_
