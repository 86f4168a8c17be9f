#include "server/storage/credentials.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMostFileBytes = 1 << 20;

bool IsToken(absl::string_view text) {
  for (const char c : text) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) return false;
  }
  return !text.empty() && text.size() <= 8192;
}

}  // namespace

absl::StatusOr<Credentials> Credentials::ReadFile(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, ReadSmallFile(path, kMostFileBytes));
  Credentials credentials;
  int number = 0;
  for (absl::string_view line : absl::StrSplit(text, '\n')) {
    ++number;
    line = absl::StripAsciiWhitespace(line);
    if (line.empty() || line.front() == '#') continue;
    const std::vector<std::string> words =
        absl::StrSplit(line, absl::ByAnyChar(" \t"), absl::SkipEmpty());
    // https, so that HOST:443 and HOST are one.
    const absl::StatusOr<RemoteUri> uri =
        ParseRedirect(absl::StrCat("https://", words.front(), "/"));
    absl::Status added = uri.status();
    if (words.size() != 2 || (uri.ok() && uri->path != "/")) {
      added = absl::InvalidArgumentError("must be HOST[:PORT] TOKEN");
    }
    if (added.ok()) added = credentials.Add(uri->authority, words[1]);
    RETURN_IF_ERROR(Annotate(added, absl::StrCat("line ", number)));
  }
  return credentials;
}

absl::Status Credentials::Add(const std::string& authority, absl::string_view token) {
  if (!IsToken(token)) return absl::InvalidArgumentError("the token holds what no token may hold");
  tokens_[authority] = std::string(token);
  return absl::OkStatus();
}

std::string Credentials::TokenFor(const RemoteUri& uri, const AddressPolicy& policy) const {
  const auto found = tokens_.find(uri.authority);
  if (found == tokens_.end()) return "";
  return uri.scheme == "https" || policy.IsPrivateHost(uri.host) ? found->second : "";
}

}  // namespace stockpot
