// Patterns of URIs: a folder, and what the paths of files below it must look like.
//
//   /data/sweep/*/best.pt          a local path
//   file:///data/a%20b/*.pt        percent-decoded once, the pattern too
//   s3://bucket/sweep/lr[0-9]*/*   and hf://; percent-decoded once, the pattern too
//   s3://bucket/sweep/             every file below a folder, however deep; of no other place
//   either
//
// A part of a path is matched by a part of the pattern: `*` any characters, `?` one character,
// `[a-z]` one byte of the set, `[!a-z]` one that is not; a '.' that begins a name only by a '.', so
// that a folder's files are those without one.
// Wildcards are in the path, not in a bucket's or repository's name. A web server (http, https) has
// no folders. Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_URI_PATTERN_H_
#define STOCKPOT_SERVER_STORAGE_URI_PATTERN_H_

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct UriPattern {
  std::string folder;  // a URI or path, without wildcards
  // Of the path below it: the first has a wildcard. None: all that is below.
  std::vector<std::string> parts;
};

// Errors: INVALID_ARGUMENT (reason INVALID_FIELD), FAILED_PRECONDITION (SOURCE_UNSUPPORTED) of a
// web server. Messages do not repeat the text.
absl::StatusOr<UriPattern> ParseUriPattern(absl::string_view text);

// Whether `path` ("a/b", below the folder) is what the pattern means.
bool Matches(const UriPattern& pattern, absl::string_view path);
// One part of a path against one part of a pattern, in a time of the product of their lengths.
bool MatchesPart(absl::string_view pattern, absl::string_view name);

// The files below `folder`, a local path, that match: their paths below it, in byte order; names
// that are no UTF-8 are left out. Only folders are entered for which `may_enter` (given their path)
// is OK; without parts, which looks through all, no symbolic links to folders and 32 at most one in
// the other. More than `most_looked_at` names is FAILED_PRECONDITION (SOURCE_TOO_LARGE). Errors
// also: as ErrnoStatus, of the folder itself.
absl::StatusOr<std::vector<std::string>> ListLocalMatches(
    const std::string& folder, const UriPattern& pattern, size_t most_looked_at,
    const std::function<absl::Status(const std::string& path)>& may_enter);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_URI_PATTERN_H_
