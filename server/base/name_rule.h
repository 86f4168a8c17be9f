// Renaming rules for tensors: {"model.*", "*"} takes a prefix away, {"h.*.attn.*",
// "blocks.*.attention.*"} renames layers. * in a pattern is any text, empty too, the shortest that
// fits; a * of the replacement stands for what the * in the same place of the pattern matched. A
// pattern matches whole names, and ? means itself. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_NAME_RULE_H_
#define STOCKPOT_SERVER_BASE_NAME_RULE_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct NameRule {
  std::string pattern, replacement;
  friend bool operator==(const NameRule& a, const NameRule& b) {
    return a.pattern == b.pattern && a.replacement == b.replacement;
  }
};

// INVALID_ARGUMENT when the pattern is empty, or the replacement has not as many * as it or fewer.
absl::Status CheckNameRule(const NameRule& rule);

// By the first rule whose pattern matches; the name itself where none does.
std::string Renamed(const std::vector<NameRule>& rules, absl::string_view name);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_NAME_RULE_H_
