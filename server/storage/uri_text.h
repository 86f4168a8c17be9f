// The characters of URIs: which there may be, and the one spelling of a path. Internal to storage/:
// remote_uri.h says what is refused. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_URI_TEXT_H_
#define STOCKPOT_SERVER_STORAGE_URI_TEXT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// INVALID_ARGUMENT, reason INVALID_FIELD.
absl::Status BadUri(absl::string_view message);

// Neither spaces and quotes nor control characters and bytes beyond ASCII. Errors: BadUri.
absl::Status CheckUriCharacters(absl::string_view uri);

// Percent-decoded once. Errors: BadUri.
absl::StatusOr<std::string> DecodeUriPart(absl::string_view part);

// "/a/b" in its one spelling: encoded where it must be and nowhere else. Errors: BadUri.
absl::StatusOr<std::string> NormalizeUriPath(absl::string_view path);

// "a/b" as names of files, as NormalizeUriPath spells it. Errors: BadUri, for parts that it
// refuses.
absl::StatusOr<std::string> EncodeUriPath(absl::string_view decoded);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_URI_TEXT_H_
