// Names of tensors by pattern: * is any text, empty too, ? is any one byte, all else is itself. A
// pattern matches whole names. Time is bounded by pattern times name: only the last * is ever tried
// again. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_NAME_PATTERN_H_
#define STOCKPOT_SERVER_BASE_NAME_PATTERN_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace stockpot {

bool MatchesPattern(absl::string_view pattern, absl::string_view name);
bool MatchesAny(const std::vector<std::string>& patterns, absl::string_view name);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_NAME_PATTERN_H_
