#include "server/storage/uri_pattern.h"

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <system_error>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/remote_store.h"
#include "server/storage/remote_uri.h"
#include "server/storage/uri_text.h"

namespace stockpot {
namespace {

constexpr absl::string_view kWildcards = "*?[";
constexpr size_t kMostParts = 32;

bool IsContinuation(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

// Where the character after the one at `at` begins.
size_t NextCharacter(absl::string_view text, size_t at) {
  ++at;
  while (at < text.size() && IsContinuation(text[at])) ++at;
  return at;
}

// The end of the set that begins at `at` of the pattern, or npos: then '[' is itself.
size_t EndOfSet(absl::string_view pattern, size_t at) {
  const size_t first = at + 1 + (at + 1 < pattern.size() && pattern[at + 1] == '!' ? 1 : 0);
  return pattern.find(']', first + 1);
}

bool IsInSet(absl::string_view set, char c) {
  const bool is_negated = absl::ConsumePrefix(&set, "!");
  const auto byte = [](char of) { return static_cast<unsigned char>(of); };
  bool is_in = false;
  for (size_t i = 0; i < set.size(); ++i) {
    if (i + 2 < set.size() && set[i + 1] == '-') {
      is_in = is_in || (byte(set[i]) <= byte(c) && byte(c) <= byte(set[i + 2]));
      i += 2;
    } else {
      is_in = is_in || set[i] == c;
    }
  }
  return is_in != is_negated;
}

// Matches one element of the pattern other than '*'; moves both on.
bool MatchOne(absl::string_view pattern, size_t* p, absl::string_view name, size_t* n) {
  if (*n == name.size()) return false;
  const char c = pattern[*p];
  if (c == '?') {
    ++*p;
    *n = NextCharacter(name, *n);
    return true;
  }
  const size_t end = c == '[' ? EndOfSet(pattern, *p) : absl::string_view::npos;
  if (end != absl::string_view::npos) {
    if (!IsInSet(pattern.substr(*p + 1, end - *p - 1), name[*n])) return false;
    *p = end + 1;
    ++*n;
    return true;
  }
  if (c != name[*n]) return false;
  ++*p;
  ++*n;
  return true;
}

// Also no control characters, which no URI has.
bool IsUtf8(absl::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    const auto lead = static_cast<unsigned char>(text[i]);
    const size_t end = NextCharacter(text, i), size = end - i;
    uint32_t code = lead;
    if (size > 1) code = lead & (0x7fu >> size);
    for (++i; i < end; ++i) code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3fu);
    constexpr uint32_t kLeast[] = {' ', 0x80, 0x800, 0x10000};
    constexpr unsigned char kLeads[] = {0, 0xc0, 0xe0, 0xf0}, kEnds[] = {0x80, 0xe0, 0xf0, 0xf8};
    if (size > 4 || lead < kLeads[size - 1] || lead >= kEnds[size - 1]) return false;
    if (code < kLeast[size - 1] || code > 0x10ffff || (code >= 0xd800 && code < 0xe000))
      return false;
  }
  return true;
}

// Walks down as far as names match.
class LocalWalk {
 public:
  LocalWalk(const UriPattern& pattern, size_t most,
            const std::function<absl::Status(const std::string&)>& may_enter)
      : pattern_(pattern), left_(most), most_(most), may_enter_(may_enter) {}

  // `below` is the folder's path below the first one, with a "/" at its end, or "".
  absl::Status Walk(const std::string& folder, const std::string& below, size_t depth) {
    std::error_code error;
    auto entry = std::filesystem::directory_iterator(folder, error);
    if (error) return ErrnoStatus(error.value(), "cannot list the folder");
    for (; entry != std::filesystem::directory_iterator(); entry.increment(error)) {
      if (left_-- == 0) return TooManyFiles(most_);
      RETURN_IF_ERROR(Take(*entry, below, depth));
      if (error) return ErrnoStatus(error.value(), "cannot list the folder");
    }
    return absl::OkStatus();
  }

  std::vector<std::string> Sorted() {
    std::sort(found_.begin(), found_.end());
    return std::move(found_);
  }

 private:
  absl::Status Take(const std::filesystem::directory_entry& entry, const std::string& below,
                    size_t depth) {
    const std::string name = entry.path().filename().string();
    const bool takes_all = pattern_.parts.empty();
    if (!IsUtf8(name) || !MatchesPart(takes_all ? "*" : pattern_.parts[depth], name)) {
      return absl::OkStatus();
    }
    const bool is_last = depth + 1 == pattern_.parts.size();
    std::error_code gone;
    if ((takes_all || is_last) && entry.is_regular_file(gone)) found_.push_back(below + name);
    if (is_last || !entry.is_directory(gone) || !may_enter_(entry.path().string()).ok()) {
      return absl::OkStatus();
    }
    // A link may lead to a folder that is above, or looked through anyway.
    if (takes_all && (entry.is_symlink(gone) || depth + 1 == kMostParts)) return absl::OkStatus();
    const absl::Status status = Walk(entry.path().string(), below + name + "/", depth + 1);
    // One that went away, or is not ours to read, holds nothing.
    return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ? absl::OkStatus() : status;
  }

  const UriPattern& pattern_;
  size_t left_;
  const size_t most_;
  const std::function<absl::Status(const std::string&)>& may_enter_;
  std::vector<std::string> found_;
};

}  // namespace

absl::StatusOr<UriPattern> ParseUriPattern(absl::string_view text) {
  const size_t wildcard = text.find_first_of(kWildcards);
  const bool takes_all = wildcard == absl::string_view::npos;
  if (takes_all && !absl::EndsWith(text, "/")) {
    return BadUri("has none of the wildcards *, ? and [, and no / at its end: give it as a uri");
  }
  const size_t scheme_end = text.find("://");
  const bool has_scheme = scheme_end != absl::string_view::npos && text.find('/') > scheme_end;
  if (has_scheme && absl::StartsWithIgnoreCase(text, "http")) {
    return WithReason(absl::FailedPreconditionError(
                          "a web server has no folders to look in: give each file as a uri"),
                      "SOURCE_UNSUPPORTED");
  }
  const size_t slash = text.rfind('/', wildcard);
  if (slash == absl::string_view::npos || (has_scheme && slash < scheme_end + 3 + 1)) {
    return BadUri("wildcards may stand in the path only");
  }
  UriPattern pattern;
  pattern.folder = std::string(text.substr(0, std::max<size_t>(slash, 1)));
  if (IsRemoteUri(text)) RETURN_IF_ERROR(ParseRemoteFolder(pattern.folder).status());
  if (takes_all) return pattern;
  for (const absl::string_view part : absl::StrSplit(text.substr(slash + 1), '/')) {
    std::string decoded(part);
    if (has_scheme) {
      ASSIGN_OR_RETURN(decoded, DecodeUriPart(part));
    }
    if (decoded.empty() || decoded == "." || decoded == ".." ||
        decoded.find('\0') != std::string::npos) {
      return BadUri("a pattern must not have empty parts, '.' or '..'");
    }
    pattern.parts.push_back(std::move(decoded));
  }
  if (pattern.parts.size() > kMostParts) return BadUri("a pattern must be of at most 32 parts");
  return pattern;
}

// What '*' took is extended by one character when the rest does not match: only the last '*' ever
// has to take more.
bool MatchesPart(absl::string_view pattern, absl::string_view name) {
  if (absl::StartsWith(name, ".") && !absl::StartsWith(pattern, ".")) return false;
  size_t p = 0, n = 0;
  size_t star = absl::string_view::npos, star_end = 0;
  while (n < name.size() || p < pattern.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      star_end = n;
    } else if (p < pattern.size() && MatchOne(pattern, &p, name, &n)) {
      continue;
    } else if (star != absl::string_view::npos && star_end < name.size()) {
      star_end = NextCharacter(name, star_end);
      p = star + 1;
      n = star_end;
    } else {
      return false;
    }
  }
  return true;
}

bool Matches(const UriPattern& pattern, absl::string_view path) {
  const std::vector<absl::string_view> names = absl::StrSplit(path, '/');
  if (pattern.parts.empty()) {
    return std::none_of(names.begin(), names.end(),
                        [](absl::string_view name) { return absl::StartsWith(name, "."); });
  }
  if (names.size() != pattern.parts.size()) return false;
  for (size_t i = 0; i < names.size(); ++i) {
    if (!MatchesPart(pattern.parts[i], names[i])) return false;
  }
  return true;
}

absl::StatusOr<std::vector<std::string>> ListLocalMatches(
    const std::string& folder, const UriPattern& pattern, size_t most_looked_at,
    const std::function<absl::Status(const std::string& path)>& may_enter) {
  LocalWalk walk(pattern, most_looked_at, may_enter);
  RETURN_IF_ERROR(walk.Walk(folder, "", 0));
  return walk.Sorted();
}

}  // namespace stockpot
