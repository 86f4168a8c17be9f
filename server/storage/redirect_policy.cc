#include "server/storage/redirect_policy.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::StatusOr<std::vector<UriPrefix>> ParseUriPrefixes(const std::vector<std::string>& texts) {
  std::vector<UriPrefix> prefixes;
  for (const std::string& text : texts) {
    if (!IsRemoteUri(text)) continue;
    ASSIGN_OR_RETURN(UriPrefix prefix, UriPrefix::Parse(text));
    prefixes.push_back(std::move(prefix));
  }
  return prefixes;
}

// "*.example.com" matches names below example.com.
bool HostMatches(const std::string& pattern, const std::string& host) {
  if (!absl::StartsWith(pattern, "*.")) return pattern == host;
  return absl::EndsWith(host, absl::string_view(pattern).substr(1));
}

}  // namespace

absl::StatusOr<RedirectPolicy> RedirectPolicy::Create(
    const std::vector<std::string>& data_prefixes,
    const std::vector<std::string>& architecture_prefixes,
    const std::vector<std::string>& redirect_hosts) {
  RedirectPolicy policy;
  ASSIGN_OR_RETURN(policy.data_, ParseUriPrefixes(data_prefixes));
  ASSIGN_OR_RETURN(policy.architectures_, ParseUriPrefixes(architecture_prefixes));
  for (const std::string& host : redirect_hosts) {
    policy.hosts_.push_back(absl::AsciiStrToLower(host));
    const absl::string_view name = absl::StripPrefix(policy.hosts_.back(), "*.");
    if (name.empty() || name.find_first_of("/@?#*") != absl::string_view::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("'", host, "' must be a host's name, or *.example.com"));
    }
  }
  return policy;
}

absl::Status RedirectPolicy::Check(const RemoteUri& from, const RemoteUri& to,
                                   Purpose purpose) const {
  const bool is_data = purpose == Purpose::kData;
  const absl::string_view reason = is_data ? "PATH_NOT_ALLOWED" : "ARCHITECTURE_NOT_ALLOWED";
  const std::string what = absl::StrCat("'", from.host, "' redirects to '", to.host, "'");
  if (from.scheme == "https" && to.scheme != "https") {
    return WithReason(absl::PermissionDeniedError(absl::StrCat(what, ", from https to http")),
                      reason);
  }
  const std::vector<UriPrefix>& prefixes = is_data ? data_ : architectures_;
  const bool allowed = std::any_of(prefixes.begin(), prefixes.end(),
                                   [&](const UriPrefix& prefix) { return prefix.Covers(to); }) ||
                       std::any_of(hosts_.begin(), hosts_.end(), [&](const std::string& pattern) {
                         return HostMatches(pattern, to.host);
                       });
  if (allowed) return absl::OkStatus();
  return WithReason(absl::PermissionDeniedError(absl::StrCat(
                        what,
                        ", where this server may not read; the operator allows it with "
                        "--allowed_redirect_host")),
                    reason);
}

}  // namespace stockpot
