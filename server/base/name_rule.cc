#include "server/base/name_rule.h"

#include <algorithm>
#include <optional>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace stockpot {
namespace {

// What each * of the pattern stands for; nothing where the pattern does not match.
std::optional<std::vector<absl::string_view>> Match(absl::string_view pattern,
                                                    absl::string_view name) {
  const std::vector<absl::string_view> pieces = absl::StrSplit(pattern, '*');
  std::vector<absl::string_view> found;
  if (pieces.size() == 1) {
    if (pattern != name) return std::nullopt;
    return found;
  }
  if (!absl::StartsWith(name, pieces.front())) return std::nullopt;
  size_t position = pieces.front().size();
  for (size_t i = 1; i + 1 < pieces.size(); ++i) {
    const size_t at = name.find(pieces[i], position);
    if (at == absl::string_view::npos) return std::nullopt;
    found.push_back(name.substr(position, at - position));
    position = at + pieces[i].size();
  }
  const absl::string_view rest = name.substr(position);
  if (!absl::EndsWith(rest, pieces.back())) return std::nullopt;
  found.push_back(rest.substr(0, rest.size() - pieces.back().size()));
  return found;
}

}  // namespace

absl::Status CheckNameRule(const NameRule& rule) {
  if (rule.pattern.empty()) return absl::InvalidArgumentError("the pattern is empty");
  const auto stars = [](const std::string& text) {
    return std::count(text.begin(), text.end(), '*');
  };
  if (stars(rule.replacement) <= stars(rule.pattern)) return absl::OkStatus();
  return absl::InvalidArgumentError("the replacement has more * than the pattern");
}

std::string Renamed(const std::vector<NameRule>& rules, absl::string_view name) {
  for (const NameRule& rule : rules) {
    const auto found = Match(rule.pattern, name);
    if (!found.has_value()) continue;
    const std::vector<absl::string_view> pieces = absl::StrSplit(rule.replacement, '*');
    std::string renamed(pieces[0]);
    for (size_t i = 1; i < pieces.size(); ++i) {
      absl::StrAppend(&renamed, i <= found->size() ? (*found)[i - 1] : "", pieces[i]);
    }
    return renamed;
  }
  return std::string(name);
}

}  // namespace stockpot
