#include "server/storage/remote_uri.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/status.h"
#include "server/storage/uri_text.h"

namespace stockpot {
namespace {

constexpr size_t kMostUriBytes = 2048;
// Signed URLs of object stores are long.
constexpr size_t kMostRedirectBytes = 8192;
constexpr absl::string_view kObjectStores[] = {"s3", "gs", "abfs"};
// Another name of one of them.
constexpr absl::string_view kAzure = "az";
constexpr absl::string_view kOthers[] = {"https", "http", "hf", kAzure};

bool IsHostName(absl::string_view host) {
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    if (label.empty() || label.size() > 63 || label.front() == '-' || label.back() == '-') {
      return false;
    }
    for (const char c : label) {
      if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '_') return false;
    }
  }
  return host.size() <= 253;
}

absl::Status ParsePort(absl::string_view text, RemoteUri* uri) {
  if (text.empty()) return BadUri("a URI's port must be a number from 1 to 65535");
  for (const char c : text) {
    if (!absl::ascii_isdigit(static_cast<unsigned char>(c))) uri->port = -1;
  }
  if (uri->port < 0 || !absl::SimpleAtoi(text, &uri->port) || uri->port < 1 || uri->port > 65535) {
    return BadUri("a URI's port must be a number from 1 to 65535");
  }
  return absl::OkStatus();
}

absl::Status ParseAuthority(absl::string_view text, RemoteUri* uri) {
  if (absl::StrContains(text, '@')) {
    return BadUri("a URI must not hold a user name or password: the operator gives credentials");
  }
  const bool is_ipv6 = absl::StartsWith(text, "[");
  const size_t host_end = is_ipv6 ? text.find(']') : text.find(':');
  if (is_ipv6 && host_end == absl::string_view::npos) return BadUri("a URI's host lacks a ']'");
  uri->host =
      absl::AsciiStrToLower(is_ipv6 ? text.substr(1, host_end - 1) : text.substr(0, host_end));
  const bool is_host =
      is_ipv6 ? !uri->host.empty() &&
                    uri->host.find_first_not_of("0123456789abcdef:.") == std::string::npos
              : IsHostName(uri->host);
  if (!is_host) return BadUri("a URI's host must be a name, an IPv4 address or [an IPv6 address]");
  const int own_port = uri->scheme == "https" ? 443 : 80;
  uri->port = own_port;
  const absl::string_view rest =
      host_end == absl::string_view::npos ? "" : text.substr(host_end + (is_ipv6 ? 1 : 0));
  if (!rest.empty()) {
    if (rest.front() != ':')
      return BadUri("a URI's host must be followed by ':' and a port, or '/'");
    RETURN_IF_ERROR(ParsePort(rest.substr(1), uri));
  }
  uri->authority = is_ipv6 ? absl::StrCat("[", uri->host, "]") : uri->host;
  if (uri->port != own_port) absl::StrAppend(&uri->authority, ":", uri->port);
  return absl::OkStatus();
}

// `rest` is what follows "://".
absl::Status ParseHttp(absl::string_view rest, RemoteUri* uri) {
  const size_t slash = rest.find('/');
  RETURN_IF_ERROR(ParseAuthority(rest.substr(0, slash), uri));
  ASSIGN_OR_RETURN(uri->path,
                   NormalizeUriPath(slash == absl::string_view::npos ? "/" : rest.substr(slash)));
  return absl::OkStatus();
}

// Names of the hub's owners and repositories.
bool IsHubName(absl::string_view name) {
  if (name.empty() || name.size() > 96 || absl::StrContains(name, "..")) return false;
  for (const char c : name) {
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && !absl::StrContains("-._", c)) {
      return false;
    }
  }
  return name.front() != '.' && name.front() != '-';
}

absl::Status ParseRevision(absl::string_view text, RemoteUri* uri) {
  // As in the hub's own URLs, a revision such as refs/pr/1 is written with %2F.
  ASSIGN_OR_RETURN(uri->revision, DecodeUriPart(text));
  bool is_valid = !uri->revision.empty() && uri->revision.size() <= 255 &&
                  !absl::StrContains(uri->revision, "..") &&
                  !absl::StrContains(absl::StrCat("/", uri->revision, "/"), "//") &&
                  !absl::StrContains(absl::StrCat("/", uri->revision, "/"), "/./");
  for (const char c : uri->revision) {
    is_valid = is_valid && (absl::ascii_isalnum(static_cast<unsigned char>(c)) ||
                            absl::StrContains("-._/+", c));
  }
  return is_valid ? absl::OkStatus()
                  : BadUri("an hf:// URI's revision is no branch, tag or commit");
}

// `rest` is what follows "hf://". As far as it goes: what is missing stays empty.
absl::Status ParseHub(absl::string_view rest, RemoteUri* uri) {
  const bool is_data_set = absl::ConsumePrefix(&rest, "datasets/");
  const size_t owner_end = rest.find('/');
  const absl::string_view owner = rest.substr(0, owner_end);
  rest = owner_end == absl::string_view::npos ? "" : rest.substr(owner_end + 1);
  const size_t repository_end = rest.find('/');
  const absl::string_view with_revision = rest.substr(0, repository_end);
  const size_t at = with_revision.find('@');
  const absl::string_view repository = with_revision.substr(0, at);
  if (!IsHubName(owner) || owner == "datasets" || owner == "spaces" || owner == "api" ||
      (!with_revision.empty() && !IsHubName(repository))) {
    return BadUri("must be hf://OWNER/REPOSITORY[@REVISION]/PATH, or hf://datasets/OWNER/…");
  }
  if (at != absl::string_view::npos) {
    RETURN_IF_ERROR(ParseRevision(with_revision.substr(at + 1), uri));
  }
  uri->authority = absl::StrCat(is_data_set ? "datasets/" : "", owner, "/", repository);
  if (repository_end == absl::string_view::npos) return absl::OkStatus();
  ASSIGN_OR_RETURN(uri->path, NormalizeUriPath(rest.substr(repository_end)));
  return absl::OkStatus();
}

// What object stores have in common; some allow more, which nobody has to use.
bool IsBucketName(absl::string_view name) {
  if (name.size() < 3 || name.size() > 63 || absl::StrContains(name, "..")) return false;
  for (const char c : name) {
    const bool is_plain = absl::ascii_isdigit(static_cast<unsigned char>(c)) ||
                          absl::ascii_islower(static_cast<unsigned char>(c));
    if (!is_plain && !absl::StrContains("-._", c)) return false;
  }
  return absl::ascii_isalnum(static_cast<unsigned char>(name.front())) &&
         absl::ascii_isalnum(static_cast<unsigned char>(name.back()));
}

// `rest` is what follows "://".
absl::Status ParseObject(absl::string_view rest, RemoteUri* uri) {
  const size_t slash = rest.find('/');
  const absl::string_view bucket = rest.substr(0, slash);
  if (!IsBucketName(bucket)) {
    return BadUri(
        absl::StrCat("must be ", uri->scheme,
                     "://BUCKET/KEY, with a bucket's name of 3 to 63 of "
                     "a-z, 0-9, '-', '.' and '_': the operator says which server it is of"));
  }
  uri->authority = std::string(bucket);
  if (slash == absl::string_view::npos) return absl::OkStatus();
  ASSIGN_OR_RETURN(uri->path, NormalizeUriPath(rest.substr(slash)));
  if (absl::StrContains(uri->path, "//")) {
    return BadUri("the path of an object store's URI must not have empty parts");
  }
  return absl::OkStatus();
}

absl::string_view SchemeOf(absl::string_view uri) {
  const size_t colon = uri.find("://");
  return colon == absl::string_view::npos ? "" : uri.substr(0, colon);
}

// As far as it goes: an hf:// URI may name an owner alone.
absl::StatusOr<RemoteUri> ParseAsFarAsItGoes(absl::string_view text) {
  if (text.size() > kMostUriBytes) return BadUri("a URI must be at most 2048 bytes");
  RETURN_IF_ERROR(CheckUriCharacters(text));
  if (absl::StrContains(text, '#')) return BadUri("a URI must not have a fragment ('#')");
  if (absl::StrContains(text, '?')) {
    return BadUri(
        "a URI must not have a query ('?'): it often holds a credential, and jobs and reports keep "
        "their URIs");
  }
  if (!IsRemoteUri(text)) {
    return BadUri("must begin with https://, http://, hf://, s3://, gs:// or abfs://");
  }
  RemoteUri uri;
  uri.scheme = absl::AsciiStrToLower(SchemeOf(text));
  const absl::string_view rest = text.substr(uri.scheme.size() + 3);
  if (uri.scheme == kAzure) uri.scheme = "abfs";
  RETURN_IF_ERROR(uri.scheme == "hf"          ? ParseHub(rest, &uri)
                  : IsObjectStore(uri.scheme) ? ParseObject(rest, &uri)
                                              : ParseHttp(rest, &uri));
  return uri;
}

}  // namespace

std::string RemoteUri::ToString() const {
  std::string text = absl::StrCat(scheme, "://", authority);
  if (!revision.empty()) {
    absl::StrAppend(&text, "@", absl::StrJoin(absl::StrSplit(revision, '/'), "%2F"));
  }
  return text + path;
}

std::string RemoteUri::Target() const {
  return query.empty() ? ToString() : absl::StrCat(ToString(), "?", query);
}

bool IsRemoteUri(absl::string_view uri) {
  const std::string scheme = absl::AsciiStrToLower(SchemeOf(uri));
  return IsObjectStore(scheme) ||
         std::find(std::begin(kOthers), std::end(kOthers), scheme) != std::end(kOthers);
}

bool IsObjectStore(absl::string_view scheme) {
  return std::find(std::begin(kObjectStores), std::end(kObjectStores), scheme) !=
         std::end(kObjectStores);
}

std::string ShownUri(absl::string_view uri) {
  if (!IsRemoteUri(uri)) return std::string(uri);
  const absl::StatusOr<RemoteUri> remote = ParseRemoteUri(uri);
  return remote.ok() ? remote->ToString() : absl::StrCat(SchemeOf(uri), "://…");
}

bool IsCommit(absl::string_view revision) {
  return revision.size() == 40 &&
         revision.find_first_not_of("0123456789abcdef") == absl::string_view::npos;
}

absl::StatusOr<RemoteUri> ParseRemoteUri(absl::string_view text) {
  ASSIGN_OR_RETURN(RemoteUri uri, ParseAsFarAsItGoes(text));
  if (uri.path.empty() && uri.scheme != "hf") return BadUri("must name a file or a folder");
  if (uri.path.empty()) uri.path.assign(1, '/');
  return uri;
}

absl::StatusOr<RemoteUri> ParseRemoteFolder(absl::string_view text) {
  ASSIGN_OR_RETURN(RemoteUri uri, ParseAsFarAsItGoes(text));
  if (absl::EndsWith(uri.authority, "/")) return BadUri("must name a repository");
  while (absl::EndsWith(uri.path, "/")) uri.path.pop_back();
  return uri;
}

std::string DecodedPath(const RemoteUri& uri) {
  const absl::StatusOr<std::string> decoded = DecodeUriPart(absl::StripPrefix(uri.path, "/"));
  return decoded.ok() ? *decoded : "";  // a parsed path can be decoded
}

absl::StatusOr<RemoteUri> Below(const RemoteUri& folder, absl::string_view path) {
  RemoteUri uri = folder;
  ASSIGN_OR_RETURN(const std::string encoded, EncodeUriPath(path));
  uri.path = absl::StrCat(absl::StripSuffix(folder.path, "/"), "/", encoded);
  if (uri.ToString().size() > kMostUriBytes) return BadUri("a URI must be at most 2048 bytes");
  return uri;
}

absl::StatusOr<RemoteUri> ParseRedirect(absl::string_view target) {
  if (target.size() > kMostRedirectBytes) return BadUri("the redirect's URL is too long");
  target = target.substr(0, target.find('#'));
  RETURN_IF_ERROR(CheckUriCharacters(target));
  RemoteUri uri;
  uri.scheme = absl::AsciiStrToLower(SchemeOf(target));
  if (uri.scheme != "http" && uri.scheme != "https") {
    return BadUri("the redirect does not lead to http or https");
  }
  const size_t question = target.find('?');
  if (question != absl::string_view::npos) uri.query = std::string(target.substr(question + 1));
  RETURN_IF_ERROR(ParseHttp(target.substr(0, question).substr(uri.scheme.size() + 3), &uri));
  return uri;
}

absl::StatusOr<UriPrefix> UriPrefix::Parse(absl::string_view text) {
  UriPrefix prefix;
  ASSIGN_OR_RETURN(prefix.prefix_, ParseAsFarAsItGoes(text));
  const std::string& revision = prefix.prefix_.revision;
  if (!revision.empty() && !IsCommit(revision)) {
    return BadUri("a prefix names no revision, or a whole commit: files are read at their commit");
  }
  std::string& path = prefix.prefix_.path;
  while (!path.empty() && path.back() == '/') path.pop_back();
  return prefix;
}

bool UriPrefix::Covers(const RemoteUri& uri) const {
  if (uri.scheme != prefix_.scheme) return false;
  if (!prefix_.revision.empty() && uri.revision != prefix_.revision) return false;
  // Of hf an owner alone, which ends in "/", stands for all repositories.
  const bool is_owner = absl::EndsWith(prefix_.authority, "/");
  if (is_owner ? !absl::StartsWith(uri.authority, prefix_.authority)
               : uri.authority != prefix_.authority) {
    return false;
  }
  const std::string& path = prefix_.path;
  return absl::StartsWith(uri.path, path) &&
         (uri.path.size() == path.size() || uri.path[path.size()] == '/');
}

}  // namespace stockpot
