// URIs as clients and servers write them. An input is two lines: a URI or a redirect's target, and
// a prefix that an operator allows.
#include "absl/strings/match.h"
#include "absl/strings/str_split.h"
#include "server/storage/remote_uri.h"
#include "server/storage/uri_text.h"
#include "tests/fuzz/fuzz.h"

namespace stockpot {
namespace {

void Check(absl::string_view text, absl::string_view prefix_text) {
  ShownUri(text);
  (void)DecodeUriPart(text);
  const auto uri = ParseRemoteUri(text);
  if (uri.ok()) {
    const std::string shown = uri->ToString();
    const auto again = ParseRemoteUri(shown);
    Require(again.ok() && again->ToString() == shown, "a parsed URI has one text");
    Require(uri->query.empty(), "a client's URI has no query");
    Require(absl::StartsWith(uri->path, "/"), "a path begins with a slash");
    Require(!absl::StrContains(uri->path, "/../") && !absl::EndsWith(uri->path, "/.."),
            "no path leads upwards");
    const auto decoded = DecodeUriPart(uri->path);
    Require(decoded.ok() && NormalizeUriPath(uri->path).ok(), "a path can be decoded");
  }
  const auto folder = ParseRemoteFolder(text);
  if (folder.ok()) {
    Require(!absl::EndsWith(folder->path, "/"), "a folder has no slash at its end");
    const auto file = Below(*folder, prefix_text);
    Require(!file.ok() || absl::StartsWith(file->ToString(), folder->ToString()),
            "what is below a folder begins like it");
  }
  const auto target = ParseRedirect(text);
  if (target.ok()) {
    Require(target->scheme == "http" || target->scheme == "https", "a redirect leads to a host");
    Require(!target->host.empty() && target->port > 0 && target->port < 65536, "host and port");
    target->Target();
  }
  const auto prefix = UriPrefix::Parse(prefix_text);
  if (prefix.ok() && uri.ok()) {
    const auto whole = UriPrefix::Parse(uri->ToString());
    Require(!whole.ok() || whole->Covers(*uri), "a URI lies below itself");
    prefix->Covers(*uri);
  }
}

}  // namespace
}  // namespace stockpot

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::pair<absl::string_view, absl::string_view> lines =
      absl::StrSplit(stockpot::AsText(data, size), absl::MaxSplits('\n', 1));
  stockpot::Check(lines.first, lines.second);
  return 0;
}
