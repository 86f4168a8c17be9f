#include "server/storage/local_path.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <memory>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/uri_pattern.h"

namespace stockpot {
namespace {

absl::Status Invalid(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "INVALID_FIELD");
}

absl::StatusOr<std::string> PercentDecode(absl::string_view text) {
  std::string decoded;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i]);
      continue;
    }
    if (i + 2 >= text.size() || !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 1])) ||
        !absl::ascii_isxdigit(static_cast<unsigned char>(text[i + 2]))) {
      return Invalid("a '%' in a file:// URI must be followed by two hexadecimal digits");
    }
    decoded += absl::HexStringToBytes(text.substr(i + 1, 2));
    i += 2;
  }
  return decoded;
}

absl::StatusOr<std::string> Normalize(absl::string_view path) {
  if (path.find('\0') != absl::string_view::npos) return Invalid("a path cannot hold a NUL byte");
  if (!absl::StartsWith(path, "/")) {
    return Invalid("must be an absolute path or file:///absolute/path");
  }
  std::string normal;
  for (absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == ".") continue;
    if (part == "..") return Invalid("must not contain '..'");
    absl::StrAppend(&normal, "/", part);
  }
  return normal.empty() ? "/" : normal;
}

// Length of the scheme of "scheme:…", 0 when there is none.
size_t SchemeLength(absl::string_view uri) {
  const size_t colon = uri.find("://");
  if (colon == absl::string_view::npos || uri.find('/') < colon) return 0;
  return colon;
}

bool IsBelow(absl::string_view path, absl::string_view root) {
  if (root == "/" || path == root) return true;
  return path.size() > root.size() && absl::StartsWith(path, root) && path[root.size()] == '/';
}

absl::Status CheckBelow(const std::string& path, const std::vector<std::string>& allowed,
                        absl::string_view reason, absl::string_view flag) {
  for (const std::string& root : allowed) {
    if (IsBelow(path, root)) return absl::OkStatus();
  }
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "not below a folder that this server allows; the operator allows one with --", flag)),
      reason);
}

absl::StatusOr<std::string> CheckRemote(const absl::StatusOr<RemoteUri>& parsed,
                                        const std::vector<UriPrefix>& allowed,
                                        absl::string_view reason, absl::string_view flag) {
  RETURN_IF_ERROR(parsed.status());
  const RemoteUri& remote = *parsed;
  for (const UriPrefix& prefix : allowed) {
    if (prefix.Covers(remote)) return remote.ToString();
  }
  return WithReason(
      absl::PermissionDeniedError(absl::StrCat(
          "not below a URI that this server allows; the operator allows one with --", flag)),
      reason);
}

absl::StatusOr<std::string> CheckRemoteData(const absl::StatusOr<RemoteUri>& parsed,
                                            const std::vector<UriPrefix>& allowed) {
  return CheckRemote(parsed, allowed, "PATH_NOT_ALLOWED", "allowed_uri_prefix");
}

absl::StatusOr<RemoteUri> ParseOutput(absl::string_view uri) {
  ASSIGN_OR_RETURN(RemoteUri parsed, ParseRemoteFolder(uri));
  if (IsObjectStore(parsed.scheme)) return parsed;
  return WithReason(
      absl::UnimplementedError(
          "artifacts are written to the server or to an object store (s3://, gs://, abfs://)"),
      "NOT_IMPLEMENTED");
}

absl::Status CheckDataPath(const std::string& path, const std::vector<std::string>& roots) {
  return CheckBelow(path, roots, "PATH_NOT_ALLOWED", "allowed_root");
}

absl::Status CheckArchitecturePath(const std::string& path, const std::vector<std::string>& roots) {
  return CheckBelow(path, roots, "ARCHITECTURE_NOT_ALLOWED", "allowed_architecture_prefix");
}

absl::Status CheckOutputPath(const std::string& path, const std::vector<std::string>& roots) {
  return CheckBelow(path, roots, "OUTPUT_NOT_ALLOWED", "allowed_output_root");
}

absl::StatusOr<std::string> RealPath(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> real(realpath(path.c_str(), nullptr), std::free);
  if (real == nullptr) return ErrnoStatus(errno, "cannot open");
  return std::string(real.get());
}

// Length of the longest prefix of an absolute path that is there, were it a link that leads
// nowhere.
size_t ExistingLength(const std::string& path) {
  size_t length = path.size();
  struct stat status = {};
  while (length > 1 && lstat(path.substr(0, length).c_str(), &status) != 0) {
    length = std::max<size_t>(path.rfind('/', length - 1), 1);
  }
  return length;
}

absl::StatusOr<std::vector<std::string>> WithRealPaths(const std::vector<std::string>& paths) {
  std::vector<std::string> all;
  for (const std::string& path : paths) {
    absl::StatusOr<std::string> normal = Normalize(path);
    if (!normal.ok()) return Annotate(normal.status(), absl::StrCat("'", path, "'"));
    absl::StatusOr<std::string> real = RealPath(*normal);
    if (real.ok() && *real != *normal) all.push_back(*std::move(real));
    all.push_back(*std::move(normal));
  }
  return all;
}

absl::StatusOr<std::vector<UriPrefix>> ParsePrefixes(const std::vector<std::string>& texts) {
  std::vector<UriPrefix> prefixes;
  for (const std::string& text : texts) {
    absl::StatusOr<UriPrefix> prefix = UriPrefix::Parse(text);
    if (!prefix.ok()) return Annotate(prefix.status(), absl::StrCat("'", text, "'"));
    prefixes.push_back(*std::move(prefix));
  }
  return prefixes;
}

}  // namespace

absl::StatusOr<std::string> LocalPath(absl::string_view uri) {
  const size_t scheme_length = SchemeLength(uri);
  if (scheme_length == 0) return Normalize(uri);
  const absl::string_view scheme = uri.substr(0, scheme_length);
  if (!absl::EqualsIgnoreCase(scheme, "file")) {
    return WithReason(
        absl::UnimplementedError(absl::StrCat("scheme '", scheme.substr(0, 32),
                                              "' is not read by this release; give a local path")),
        "NOT_IMPLEMENTED");
  }
  absl::string_view rest = uri.substr(scheme_length + 3);
  const size_t slash = rest.find('/');
  const absl::string_view host = rest.substr(0, slash);
  if (!host.empty() && host != "localhost") {
    return Invalid("a file:// URI must name no host: file:///absolute/path");
  }
  ASSIGN_OR_RETURN(const std::string path,
                   PercentDecode(slash == absl::string_view::npos ? "" : rest.substr(slash)));
  return Normalize(path);
}

absl::StatusOr<AllowList> AllowList::Create(const std::vector<std::string>& roots,
                                            const std::vector<std::string>& architecture_prefixes,
                                            const std::vector<std::string>& output_roots,
                                            const std::vector<std::string>& uri_prefixes,
                                            const std::vector<std::string>& output_uri_prefixes) {
  AllowList list;
  ASSIGN_OR_RETURN(list.roots_, WithRealPaths(roots));
  std::vector<std::string> paths, uris;
  for (const std::string& prefix : architecture_prefixes) {
    (IsRemoteUri(prefix) ? uris : paths).push_back(prefix);
  }
  ASSIGN_OR_RETURN(list.architectures_, WithRealPaths(paths));
  ASSIGN_OR_RETURN(list.architecture_uris_, ParsePrefixes(uris));
  ASSIGN_OR_RETURN(list.uris_, ParsePrefixes(uri_prefixes));
  ASSIGN_OR_RETURN(list.outputs_, WithRealPaths(output_roots));
  for (const std::string& prefix : output_uri_prefixes) {
    RETURN_IF_ERROR(Annotate(ParseOutput(prefix).status(), prefix));
  }
  ASSIGN_OR_RETURN(list.output_uris_, ParsePrefixes(output_uri_prefixes));
  return list;
}

absl::StatusOr<std::string> AllowList::CheckData(absl::string_view uri) const {
  if (IsRemoteUri(uri)) return CheckRemoteData(ParseRemoteUri(uri), uris_);
  ASSIGN_OR_RETURN(std::string path, LocalPath(uri));
  RETURN_IF_ERROR(CheckDataPath(path, roots_));
  return path;
}

absl::StatusOr<std::string> AllowList::CheckDataFolder(absl::string_view uri) const {
  return IsRemoteUri(uri) ? CheckRemoteData(ParseRemoteFolder(uri), uris_) : CheckData(uri);
}

absl::Status AllowList::CheckPattern(absl::string_view pattern) const {
  ASSIGN_OR_RETURN(const UriPattern parsed, ParseUriPattern(pattern));
  return CheckDataFolder(parsed.folder).status();
}

absl::StatusOr<std::string> AllowList::CheckArchitecture(absl::string_view uri) const {
  if (IsRemoteUri(uri)) {
    return CheckRemote(ParseRemoteUri(uri), architecture_uris_, "ARCHITECTURE_NOT_ALLOWED",
                       "allowed_architecture_prefix");
  }
  ASSIGN_OR_RETURN(std::string path, LocalPath(uri));
  RETURN_IF_ERROR(CheckArchitecturePath(path, architectures_));
  return path;
}

absl::StatusOr<std::string> AllowList::ResolveData(absl::string_view uri) const {
  ASSIGN_OR_RETURN(const std::string path, CheckData(uri));
  ASSIGN_OR_RETURN(std::string real, RealPath(path));
  RETURN_IF_ERROR(CheckDataPath(real, roots_));
  return real;
}

absl::StatusOr<std::string> AllowList::ResolveArchitecture(absl::string_view uri) const {
  ASSIGN_OR_RETURN(const std::string path, CheckArchitecture(uri));
  ASSIGN_OR_RETURN(std::string real, RealPath(path));
  RETURN_IF_ERROR(CheckArchitecturePath(real, architectures_));
  return real;
}

absl::StatusOr<std::string> AllowList::CheckOutput(absl::string_view uri) const {
  if (IsRemoteUri(uri)) {
    return CheckRemote(ParseOutput(uri), output_uris_, "OUTPUT_NOT_ALLOWED",
                       "allowed_output_uri_prefix");
  }
  ASSIGN_OR_RETURN(const std::string path, LocalPath(uri));
  RETURN_IF_ERROR(CheckOutputPath(path, outputs_));
  const size_t existing = ExistingLength(path);
  absl::StatusOr<std::string> real = RealPath(path.substr(0, existing));
  if (!real.ok()) {
    return WithReason(absl::PermissionDeniedError("a part of the path cannot be followed"),
                      "OUTPUT_NOT_ALLOWED");
  }
  ASSIGN_OR_RETURN(std::string folder, Normalize(absl::StrCat(*real, "/", path.substr(existing))));
  RETURN_IF_ERROR(CheckOutputPath(folder, outputs_));
  return folder;
}

}  // namespace stockpot
