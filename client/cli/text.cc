#include "client/cli/text.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace stockpot::cli {
namespace {

bool ContinuesCodePoint(char byte) { return (static_cast<unsigned char>(byte) & 0xC0) == 0x80; }

}  // namespace

std::string Style::Wrap(absl::string_view code, absl::string_view text) const {
  if (!colour_) return std::string(text);
  return absl::StrCat("\x1b[", code, "m", text, "\x1b[0m");
}

std::string Printable(absl::string_view text) {
  std::string result(text);
  for (size_t i = 0; i < result.size(); ++i) {
    const auto byte = static_cast<unsigned char>(result[i]);
    // C1 controls are two bytes in UTF-8: C2 80 … C2 9F.
    const bool c1 =
        byte == 0xC2 && i + 1 < result.size() && static_cast<unsigned char>(result[i + 1]) < 0xA0;
    if (c1) result[i + 1] = '?';
    if (byte < 0x20 || byte == 0x7F || c1) result[i] = '?';
  }
  return result;
}

size_t DisplayWidth(absl::string_view text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return !ContinuesCodePoint(c); }));
}

std::string PadRight(absl::string_view text, size_t width) {
  const size_t used = std::min(width, DisplayWidth(text));
  return absl::StrCat(text, std::string(width - used, ' '));
}

std::string PadLeft(absl::string_view text, size_t width) {
  const size_t used = std::min(width, DisplayWidth(text));
  return absl::StrCat(std::string(width - used, ' '), text);
}

std::string Truncate(absl::string_view text, size_t width) {
  if (DisplayWidth(text) <= width) return std::string(text);
  if (width == 0) return "";
  size_t end = 0;
  for (size_t seen = 0; end < text.size(); ++end) {
    if (!ContinuesCodePoint(text[end]) && ++seen == width) break;
  }
  return absl::StrCat(text.substr(0, end), "…");
}

std::string FormatCount(int64_t count) {
  std::string grouped;
  const std::string digits = absl::StrCat(count);
  for (size_t i = 0; i < digits.size(); ++i) {
    const bool group = i > 0 && (digits.size() - i) % 3 == 0 && digits[i - 1] != '-';
    if (group) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string FormatBytes(int64_t bytes) {
  if (bytes < 1000) return absl::StrCat(bytes, " B");
  auto value = static_cast<double>(bytes);
  const char* unit = "";
  for (const char* next : {"kB", "MB", "GB", "TB"}) {
    if (value < 999.5) break;
    value /= 1000;
    unit = next;
  }
  return absl::StrFormat("%.*f %s", value < 9.95 ? 1 : 0, value, unit);
}

std::string FormatSeconds(double seconds) {
  const auto whole = static_cast<int64_t>(std::clamp(std::ceil(seconds), 0.0, 3.6e7));
  if (whole < 3600) return absl::StrFormat("%d:%02d", whole / 60, whole % 60);
  return absl::StrFormat("%d:%02d:%02d", whole / 3600, whole / 60 % 60, whole % 60);
}

std::string FormatTimestamp(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "";
  return absl::FormatTime("%Y-%m-%d %H:%M:%S", absl::FromUnixSeconds(time.seconds()),
                          absl::UTCTimeZone());
}

std::string JobName(absl::string_view name_or_id) {
  return absl::StrCat("jobs/", absl::StripPrefix(name_or_id, "jobs/"));
}

std::string JobId(absl::string_view name) { return std::string(absl::StripPrefix(name, "jobs/")); }

}  // namespace stockpot::cli
