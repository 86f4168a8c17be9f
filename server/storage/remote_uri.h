// URIs of files on other machines, as clients write them: hostile until parsed, and of one text
// once parsed, so that allow-lists and caches compare texts.
//
//   https://HOST[:PORT]/PATH, http://…
//   hf://[datasets/]OWNER/REPOSITORY[@REVISION]/PATH      a file of the Hugging Face hub
//
// Scheme and host are lower-case, the scheme's own port is left out; of the path each character is
// decoded that needs no encoding, and the others are encoded with upper-case digits. Refused are:
// more than 2,048 bytes; user names and passwords; fragments; query strings, because they often
// hold a credential and jobs, reports and manifests keep URIs; "." and ".." as a part of the path,
// also when encoded, twice encoded or followed by ';'; encoded slashes, backslashes, NUL; control
// characters, spaces and bytes beyond ASCII that are not encoded.
//
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_REMOTE_URI_H_
#define STOCKPOT_SERVER_STORAGE_REMOTE_URI_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct RemoteUri {
  std::string scheme;     // "http", "https" or "hf"
  std::string authority;  // host[:port]; of hf "OWNER/REPOSITORY", "datasets/…" before it
  std::string host;       // without brackets; "" of hf
  int port = 0;           // 0 of hf
  std::string revision;   // of hf: a branch, tag or commit; "" is the default branch
  std::string path;       // encoded, begins with "/"
  std::string query;      // of a redirect only, without "?". May be a secret.

  // All of it but the query: what may be shown, and the name of a file.
  std::string ToString() const;
  // With the query: what is asked of a server. Never shown.
  std::string Target() const;
};

// Whether a URI has a scheme that this header reads, well-formed or not.
bool IsRemoteUri(absl::string_view uri);

// What may be shown of a client's URI that may be anything: a remote one only as far as it is
// understood, for what is not may hold a secret.
std::string ShownUri(absl::string_view uri);

// Whether a revision is a commit's whole hash, which never means anything else.
bool IsCommit(absl::string_view revision);

// Errors: INVALID_ARGUMENT (reason INVALID_FIELD). Messages do not repeat the URI.
absl::StatusOr<RemoteUri> ParseRemoteUri(absl::string_view uri);

// Where a server sends us on to, http or https, absolute. It may have a query; a fragment is
// dropped. Errors: as above.
absl::StatusOr<RemoteUri> ParseRedirect(absl::string_view target);

// What an operator allows: a URI of a file or "folder" whose parts a URI must begin with, as far as
// they are there. "https://models.example.com/team/" covers all below /team; "hf://org/" every
// repository of org, and "hf://org/repository" all revisions of it; a revision must be a commit.
class UriPrefix {
 public:
  // Errors: as ParseRemoteUri.
  static absl::StatusOr<UriPrefix> Parse(absl::string_view text);

  bool Covers(const RemoteUri& uri) const;

 private:
  RemoteUri prefix_;  // its path without a "/" at the end
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_REMOTE_URI_H_
