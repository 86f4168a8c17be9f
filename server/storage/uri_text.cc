#include "server/storage/uri_text.h"

#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// Characters of a path's part that stand for themselves (RFC 3986, pchar).
constexpr absl::string_view kPlainMarks = "-._~!$&'()*+,;=:@";

bool IsEscape(absl::string_view text, size_t at) {
  return at + 2 < text.size() && text[at] == '%' &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[at + 1])) &&
         absl::ascii_isxdigit(static_cast<unsigned char>(text[at + 2]));
}

std::string EncodePart(absl::string_view decoded) {
  std::string encoded;
  for (const char c : decoded) {
    const auto byte = static_cast<unsigned char>(c);
    if (absl::ascii_isalnum(byte) || absl::StrContains(kPlainMarks, c)) {
      encoded.push_back(c);
    } else {
      const std::string digits = absl::BytesToHexString(absl::string_view(&c, 1));
      absl::StrAppend(&encoded, "%", absl::AsciiStrToUpper(digits));
    }
  }
  return encoded;
}

// What some server might take for a way up, or for more than one part.
absl::Status CheckDecodedPart(absl::string_view part) {
  const absl::string_view name = part.substr(0, part.find(';'));
  if (name == "." || name == "..") return BadUri("a URI's path must not contain '.' or '..'");
  for (size_t i = 0; i < part.size(); ++i) {
    const auto byte = static_cast<unsigned char>(part[i]);
    if (absl::ascii_iscntrl(byte)) return BadUri("a URI must not hold control characters");
    if (byte == '/' || byte == '\\') return BadUri("a URI must not hold an encoded slash");
    if (IsEscape(part, i)) return BadUri("a URI must not be encoded twice");
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status BadUri(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "INVALID_FIELD");
}

absl::StatusOr<std::string> DecodeUriPart(absl::string_view part) {
  std::string decoded;
  for (size_t i = 0; i < part.size(); ++i) {
    if (part[i] != '%') {
      decoded.push_back(part[i]);
      continue;
    }
    if (!IsEscape(part, i)) {
      return BadUri("a '%' in a URI must be followed by two hexadecimal digits");
    }
    decoded += absl::HexStringToBytes(part.substr(i + 1, 2));
    i += 2;
  }
  return decoded;
}

absl::StatusOr<std::string> NormalizeUriPath(absl::string_view path) {
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    ASSIGN_OR_RETURN(const std::string decoded, DecodeUriPart(part));
    RETURN_IF_ERROR(CheckDecodedPart(decoded));
    parts.push_back(EncodePart(decoded));
  }
  return absl::StrJoin(parts, "/");
}

absl::StatusOr<std::string> EncodeUriPath(absl::string_view decoded) {
  std::vector<std::string> parts;
  for (const absl::string_view part : absl::StrSplit(decoded, '/')) {
    RETURN_IF_ERROR(CheckDecodedPart(part));
    parts.push_back(EncodePart(part));
  }
  return absl::StrJoin(parts, "/");
}

absl::Status CheckUriCharacters(absl::string_view uri) {
  for (const char c : uri) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte <= ' ' || byte >= 0x7f || c == '\\' || c == '"' || c == '<' || c == '>') {
      return BadUri(
          "a URI must not hold spaces, quotes, backslashes, control characters or bytes beyond "
          "ASCII; encode them with '%'");
    }
  }
  return absl::OkStatus();
}

}  // namespace stockpot
