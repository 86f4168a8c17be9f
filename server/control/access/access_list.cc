#include "server/control/access/access_list.h"

#include <openssl/crypto.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxLines = 10'000;
constexpr size_t kMaxClient = 63;
constexpr size_t kDigestBytes = 32;

absl::StatusOr<Role> ParseRole(absl::string_view name) {
  if (name == "viewer") return Role::kViewer;
  if (name == "submitter") return Role::kSubmitter;
  if (name == "admin") return Role::kAdmin;
  if (name == "worker") return Role::kWorker;
  return absl::InvalidArgumentError("the role must be viewer, submitter, admin or worker");
}

absl::StatusOr<std::string> ParseDigest(absl::string_view hexadecimal) {
  const bool is_digest = hexadecimal.size() == 2 * kDigestBytes &&
                         std::all_of(hexadecimal.begin(), hexadecimal.end(),
                                     [](unsigned char c) { return absl::ascii_isxdigit(c); });
  if (is_digest) return absl::HexStringToBytes(hexadecimal);
  return absl::InvalidArgumentError(
      "sha256: takes 64 hexadecimal digits: printf %s \"$TOKEN\" | sha256sum");
}

absl::Status Unauthenticated(absl::string_view reason, absl::string_view message) {
  return WithReason(absl::UnauthenticatedError(message), reason);
}

}  // namespace

bool IsClientName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxClient &&
         std::all_of(name.begin(), name.end(), [](unsigned char c) {
           return absl::ascii_isalnum(c) || c == '.' || c == '_' || c == '@' || c == '-';
         });
}

absl::StatusOr<AccessList::Line> AccessList::ParseLine(absl::string_view text) {
  const std::vector<absl::string_view> words =
      absl::StrSplit(text, absl::ByAnyChar(" \t"), absl::SkipWhitespace());
  if (words.size() < 3 || words.size() > 4) {
    return absl::InvalidArgumentError(
        "must be CLIENT ROLE sha256:DIGEST or CLIENT ROLE certificate:NAME, and maybe a time");
  }
  Line line;
  if (words[0] != "*" && !IsClientName(words[0])) {
    return absl::InvalidArgumentError(
        "the client must be 1 to 63 of A-Z, a-z, 0-9 and . _ @ -, or *");
  }
  line.identity.client = std::string(words[0]);
  ASSIGN_OR_RETURN(line.identity.role, ParseRole(words[1]));
  if (line.identity.client == "*" && line.identity.role == Role::kSubmitter) {
    return absl::InvalidArgumentError("a submitter must have a name: its jobs are made under it");
  }
  if (line.identity.client == "*" && line.identity.role == Role::kWorker) {
    return absl::InvalidArgumentError("a worker must have a name, for the log: it has no jobs");
  }
  absl::string_view shown = words[2];
  if (absl::ConsumePrefix(&shown, "sha256:")) {
    ASSIGN_OR_RETURN(line.token_digest, ParseDigest(shown));
  } else if (absl::ConsumePrefix(&shown, "certificate:") && !shown.empty()) {
    line.certificate = std::string(shown);
  } else {
    return absl::InvalidArgumentError("must show sha256:DIGEST or certificate:NAME");
  }
  std::string ignored;
  if (words.size() == 4 && !absl::ParseTime(absl::RFC3339_full, words[3], &line.until, &ignored)) {
    return absl::InvalidArgumentError("the time must be like 2027-01-01T00:00:00Z");
  }
  return line;
}

absl::StatusOr<AccessList> AccessList::Parse(absl::string_view text) {
  AccessList list;
  std::set<std::string> seen;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line[0] == '#') continue;
    absl::StatusOr<Line> parsed = ParseLine(line);
    if (parsed.ok() && !seen.insert(parsed->token_digest + "/" + parsed->certificate).second) {
      parsed = absl::InvalidArgumentError("shows the same as a line before it");
    }
    if (!parsed.ok()) return Annotate(parsed.status(), absl::StrCat("line ", number));
    if (list.lines_.size() == kMaxLines) {
      return absl::InvalidArgumentError(absl::StrCat("has more than ", kMaxLines, " clients"));
    }
    list.lines_.push_back(*std::move(parsed));
  }
  return list;
}

absl::StatusOr<Identity> AccessList::Unexpired(const Line* line, absl::Time now) {
  if (line == nullptr) {
    return Unauthenticated("CREDENTIALS_INVALID", "this token or certificate is not known here");
  }
  if (now >= line->until) {
    return Unauthenticated("CREDENTIALS_EXPIRED",
                           "this token or certificate is no longer valid; ask the operator");
  }
  return line->identity;
}

absl::StatusOr<Identity> AccessList::FindToken(absl::string_view token, absl::Time now) const {
  const std::string digest = Sha256Bytes(token);
  const Line* found = nullptr;
  for (const Line& line : lines_) {
    if (line.token_digest.size() != digest.size()) continue;
    const bool same = CRYPTO_memcmp(line.token_digest.data(), digest.data(), digest.size()) == 0;
    found = same ? &line : found;
  }
  return Unexpired(found, now);
}

absl::StatusOr<Identity> AccessList::FindCertificate(const std::vector<std::string>& names,
                                                     absl::Time now) const {
  for (const std::string& name : names) {
    for (const Line& line : lines_) {
      if (!line.certificate.empty() && line.certificate == name) return Unexpired(&line, now);
    }
  }
  return Unexpired(nullptr, now);
}

}  // namespace stockpot
