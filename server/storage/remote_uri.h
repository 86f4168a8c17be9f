// URIs of files on other machines, as clients write them: hostile until parsed, and of one text
// once parsed, so that allow-lists and caches compare texts.
//
//   https://HOST[:PORT]/PATH, http://…
//   hf://[datasets/]OWNER/REPOSITORY[@REVISION]/PATH      a file of the Hugging Face hub
//   s3://BUCKET/KEY, gs://BUCKET/KEY, abfs://CONTAINER/KEY  an object of the operator's store: a
//   URI
//       never says which server, account or credential. az:// is abfs://
//   …/                                                    a folder
//
// Scheme and host are lower-case, the scheme's own port is left out; of the path each character is
// decoded that needs no encoding, and the others are encoded with upper-case digits. Refused are:
// more than 2,048 bytes; user names and passwords; fragments; query strings, because they often
// hold a credential and jobs, reports and manifests keep URIs; "." and ".." as a part of the path,
// also when encoded, twice encoded or followed by ';'; encoded slashes, backslashes, NUL; control
// characters, spaces and bytes beyond ASCII that are not encoded; of object stores also empty parts
// of the path.
//
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_REMOTE_URI_H_
#define STOCKPOT_SERVER_STORAGE_REMOTE_URI_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct RemoteUri {
  std::string scheme;     // "http", "https", "hf", "s3", "gs" or "abfs"
  std::string authority;  // host[:port]; of hf "OWNER/REPOSITORY", "datasets/…" before it; a bucket
  std::string host;       // without brackets; only of http and https
  int port = 0;           // only of http and https
  std::string revision;  // of hf: a branch, tag or commit; "" is the default branch
  std::string path;      // encoded, begins with "/"
  std::string query;     // of a redirect only, without "?". May be a secret.

  // Whether it names a folder: ends with "/", or is of hf without a path.
  bool is_folder() const { return !path.empty() && path.back() == '/'; }

  // All of it but the query: what may be shown, and the name of a file.
  std::string ToString() const;
  // With the query: what is asked of a server. Never shown.
  std::string Target() const;
};

// Whether a URI has a scheme that this header reads, well-formed or not.
bool IsRemoteUri(absl::string_view uri);

// Whether a scheme, as RemoteUri has it, is an object store's.
bool IsObjectStore(absl::string_view scheme);

// What may be shown of a client's URI that may be anything: a remote one only as far as it is
// understood, for what is not may hold a secret.
std::string ShownUri(absl::string_view uri);

// Whether a revision is a commit's whole hash, which never means anything else.
bool IsCommit(absl::string_view revision);

// Errors: INVALID_ARGUMENT (reason INVALID_FIELD). Messages do not repeat the URI.
absl::StatusOr<RemoteUri> ParseRemoteUri(absl::string_view uri);

// A folder: a URI as above, whose path may be empty (all of a bucket or repository) or end in "/",
// which is taken off. Errors: as above.
absl::StatusOr<RemoteUri> ParseRemoteFolder(absl::string_view uri);

// Percent-decoded, as object stores and local files name it; without the "/" at its begin.
std::string DecodedPath(const RemoteUri& uri);

// The file or folder `path` (decoded, "a/b") below a folder. Errors: INVALID_ARGUMENT (reason
// INVALID_FIELD): a path that no URI can name, such as one with "..".
absl::StatusOr<RemoteUri> Below(const RemoteUri& folder, absl::string_view path);

// Where a server sends us on to, http or https, absolute. It may have a query; a fragment is
// dropped. Errors: as above.
absl::StatusOr<RemoteUri> ParseRedirect(absl::string_view target);

// What an operator allows: a URI of a file or "folder" whose parts a URI must begin with, as far as
// they are there. "https://models.example.com/team/" covers all below /team; "hf://org/" every
// repository of org, and "hf://org/repository" all revisions of it; a revision must be a commit.
// "s3://bucket" covers the whole bucket, and so for other object stores.
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
