// storage: URIs to bytes. Local files here; files of other machines in remote_files.h. What a URI
// may name is said here for both.
//
// A client's URI is hostile: it is an absolute path, file:///absolute/path, percent-decoded once,
// or a URI of remote_uri.h. Files are only read below folders (--allowed_root) and URIs
// (--allowed_uri_prefix) that the operator allows. Architectures are programs, so they have a list
// of their own (--allowed_architecture_prefix); so have the folders and object stores that
// artifacts may be written to (--allowed_output_root, --allowed_output_uri_prefix).
//
// stockpotd checks the text of every URI when a job is made; the worker, which opens the file,
// checks the real path after every symbolic link, and the address and redirects of every
// connection. Both use this header. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_STORAGE_LOCAL_PATH_H_
#define STOCKPOT_SERVER_STORAGE_LOCAL_PATH_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/storage/remote_uri.h"

namespace stockpot {

// The absolute path a URI names, without "." and empty parts. ".." is refused.
// Errors: INVALID_ARGUMENT (reason INVALID_FIELD) not an absolute path or file:// URI, another
// host, a bad percent escape, NUL; UNIMPLEMENTED (NOT_IMPLEMENTED) a scheme that is not read yet.
absl::StatusOr<std::string> LocalPath(absl::string_view uri);

class AllowList {
 public:
  // `roots`: folders (or files) below which checkpoints and data may be read.
  // `architecture_prefixes`: folders, files or URIs for architectures; these need not be below a
  // root.
  // `output_roots`: folders below which artifacts may be written; nothing else is allowed there.
  // `uri_prefixes`: URIs (UriPrefix) below which checkpoints and data may be read.
  // `output_uri_prefixes`: those of object stores below which artifacts may be written.
  // Each path must be absolute; an existing one is also allowed by its real path.
  // Errors: INVALID_ARGUMENT.
  static absl::StatusOr<AllowList> Create(const std::vector<std::string>& roots,
                                          const std::vector<std::string>& architecture_prefixes,
                                          const std::vector<std::string>& output_roots = {},
                                          const std::vector<std::string>& uri_prefixes = {},
                                          const std::vector<std::string>& output_uri_prefixes = {});

  // By text alone: no file is touched. The path of the URI, or a remote one in its one spelling.
  // Errors: as LocalPath and ParseRemoteUri; PERMISSION_DENIED, reason PATH_NOT_ALLOWED or
  // ARCHITECTURE_NOT_ALLOWED.
  absl::StatusOr<std::string> CheckData(absl::string_view uri) const;
  absl::StatusOr<std::string> CheckArchitecture(absl::string_view uri) const;

  // The same of a folder, which may be a whole bucket or repository.
  absl::StatusOr<std::string> CheckDataFolder(absl::string_view uri) const;
  // Whether a pattern (uri_pattern.h) may be looked for. Errors: as ParseUriPattern, and as above.
  absl::Status CheckPattern(absl::string_view pattern) const;

  // Also follows symbolic links: gives the real path, which is below an allowed one. Only of local
  // URIs. Errors: as above, and NOT_FOUND.
  absl::StatusOr<std::string> ResolveData(absl::string_view uri) const;
  absl::StatusOr<std::string> ResolveArchitecture(absl::string_view uri) const;

  // The folder that artifacts go to, which need not exist: every part of it that does is followed,
  // and must stay below an allowed root. The path has no symbolic link as of now. Of an object
  // store the URI in its one spelling, without a "/" at the end. Errors: as LocalPath and
  // ParseRemoteFolder; UNIMPLEMENTED (NOT_IMPLEMENTED): nothing is written to this scheme;
  // PERMISSION_DENIED, reason OUTPUT_NOT_ALLOWED.
  absl::StatusOr<std::string> CheckOutput(absl::string_view uri) const;

 private:
  std::vector<std::string> roots_, architectures_, outputs_;
  std::vector<UriPrefix> uris_, architecture_uris_, output_uris_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_LOCAL_PATH_H_
