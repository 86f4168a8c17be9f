// What bytes are that were meant to be something else: what downloads and copies leave by mistake,
// and formats that are not read. For errors. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_BASE_KNOWN_CONTENT_H_
#define STOCKPOT_SERVER_BASE_KNOWN_CONTENT_H_

#include <string>

#include "absl/strings/string_view.h"

namespace stockpot {

// Of a file that begins so: " but a GIF image", " but a Git LFS pointer: …"; "" where it is not
// known. To be put behind "not a tar file" and the like.
std::string ButKnownContent(absl::string_view begin);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_KNOWN_CONTENT_H_
