#include "server/storage/http_fields.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace stockpot {
namespace {

std::optional<uint64_t> Number(absl::string_view text) {
  uint64_t number = 0;
  const bool is_number = !text.empty() && std::all_of(text.begin(), text.end(), [](char c) {
    return absl::ascii_isdigit(static_cast<unsigned char>(c));
  });
  if (!is_number || !absl::SimpleAtoi(text, &number)) return std::nullopt;
  return number;
}

}  // namespace

void AddHttpField(absl::string_view line, HttpFields* fields) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos || colon == 0) return;
  fields->emplace(absl::AsciiStrToLower(line.substr(0, colon)),
                  std::string(absl::StripAsciiWhitespace(line.substr(colon + 1))));
}

std::string FieldOf(const HttpFields& fields, const std::string& name) {
  const auto found = fields.find(name);
  return found == fields.end() ? "" : found->second;
}

std::optional<uint64_t> ContentLengthOf(const HttpFields& fields) {
  return Number(FieldOf(fields, "content-length"));
}

std::optional<ContentRange> ContentRangeOf(const HttpFields& fields) {
  const std::string field = FieldOf(fields, "content-range");
  absl::string_view text = field;
  if (!absl::ConsumePrefix(&text, "bytes ")) return std::nullopt;
  const size_t slash = text.find('/');
  if (slash == absl::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> size = Number(text.substr(slash + 1));
  if (!size.has_value()) return std::nullopt;
  ContentRange range;
  range.size = *size;
  text = text.substr(0, slash);
  if (text == "*") return range;
  const size_t dash = text.find('-');
  if (dash == absl::string_view::npos) return std::nullopt;
  const std::optional<uint64_t> begin = Number(text.substr(0, dash));
  const std::optional<uint64_t> last = Number(text.substr(dash + 1));
  if (!begin.has_value() || !last.has_value() || *begin > *last || *last >= *size) {
    return std::nullopt;
  }
  range.is_satisfied = true;
  range.begin = *begin;
  range.end = *last + 1;
  return range;
}

std::string StrongEntityTagOf(const HttpFields& fields) {
  const std::string tag = FieldOf(fields, "etag");
  // A weak one begins with W/.
  return tag.size() >= 3 && tag.front() == '"' && tag.back() == '"' ? tag : "";
}

std::string VersionTextOf(const HttpFields& fields) {
  const std::string tag = FieldOf(fields, "etag");
  const std::string modified = FieldOf(fields, "last-modified");
  return tag.empty() && modified.empty() ? "" : absl::StrCat(tag, "\n", modified);
}

absl::Duration RetryAfterOf(const HttpFields& fields, absl::Time now) {
  const std::string text = FieldOf(fields, "retry-after");
  if (const std::optional<uint64_t> seconds = Number(text); seconds.has_value()) {
    return absl::Seconds(std::min<uint64_t>(*seconds, 1 << 30));
  }
  absl::Time then;
  std::string error;
  if (!absl::ParseTime("%a, %d %b %Y %H:%M:%S GMT", text, &then, &error)) {
    return absl::ZeroDuration();
  }
  return std::max(then - now, absl::ZeroDuration());
}

}  // namespace stockpot
