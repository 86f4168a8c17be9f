// Where the bytes of a URI are on this host: a local file that is allowed, or the copy of a remote
// one. Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SOURCE_LOCATOR_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SOURCE_LOCATOR_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/local_path.h"
#include "server/storage/remote_files.h"
#include "server/storage/uri_pattern.h"
#include "server/worker/session/file_identity.h"

namespace stockpot {

class SourceLocator {
 public:
  struct Located {
    FileIdentity file;           // or folder
    std::string pinned_uri;      // as in worker.v1.CheckpointFound
    int64_t mebibytes_told = 0;  // what `progress` was told of the download
    // Of a copy of a remote folder, or of a list's files: it may leave the cache once this is gone.
    // Not remembered.
    std::shared_ptr<const void> hold = nullptr;
    FileIdentity held = {};  // that folder
  };

  // `remote_files` may be null: no URI leads elsewhere then. It must outlive this.
  SourceLocator(AllowList allow_list, RemoteFiles* remote_files)
      : allow_list_(std::move(allow_list)), remote_files_(remote_files) {}

  // Looks at the file anew, and brings it here when it is remote and changed. `progress` counts
  // mebibytes. Errors: of AllowList and RemoteFiles; UNIMPLEMENTED (reason NOT_IMPLEMENTED).
  absl::StatusOr<Located> Locate(const std::string& uri, Purpose purpose, const Progress& progress);

  // The same of a folder: of a remote one, of which all files are brought, a copy.
  absl::StatusOr<Located> LocateFolder(const std::string& uri, const Progress& progress);

  // The same of files of other machines that a list names: a folder with a copy of each.
  struct NamedUri {
    std::string name;  // below that folder, of this file alone
    std::string uri;
  };
  // Errors: as above; those of one file with its name, also as metadata "file".
  absl::StatusOr<Located> LocateFiles(const std::vector<NamedUri>& files, const Progress& progress);

  // What Located::hold was, for the same folder. Null: it left the cache, or was brought anew.
  std::shared_ptr<const void> HoldAgain(const FileIdentity& held) const;

  // The URIs that a pattern matches, in byte order of their paths: local paths, or remote ones
  // pinned. Of a folder, `uri_pattern` ending with "/": itself as it was given where it is one
  // checkpoint, else those below it (storage/checkpoints_below.h). Errors: as
  // AllowList::CheckPattern, and those of listing; NOT_FOUND (reason CHECKPOINT_NOT_FOUND): nothing
  // matches; FAILED_PRECONDITION (SOURCE_TOO_LARGE): more than `most` do.
  absl::StatusOr<std::vector<std::string>> Expand(const std::string& uri_pattern, size_t most,
                                                  const Progress& progress);

  // What a remote URI was found to be when its content had this digest: for tasks that name the
  // digest, so that they need not ask the network again. Null when it is not known, and of local
  // files, which cost nothing to look at. Good until the next call.
  const Located* Find(const std::string& uri, const std::string& digest) const;
  void Remember(const std::string& uri, const std::string& digest, const Located& located);

 private:
  struct Matching {
    std::vector<std::string> paths, uris;  // below the folder, and whole
    size_t looked_at = 0;                  // files; 0: not counted
  };
  absl::StatusOr<Matching> ExpandLocally(const UriPattern& pattern) const;
  absl::StatusOr<Matching> ExpandRemotely(const UriPattern& pattern, const Progress& progress);
  absl::Status CheckReadsRemotely() const;
  absl::StatusOr<Located> Bring(const std::string& uri, Purpose purpose, const Progress& progress);

  const AllowList allow_list_;
  RemoteFiles* const remote_files_;
  std::map<std::pair<std::string, std::string>, Located> known_;  // by URI and digest
};

// UNAVAILABLE (reason SOURCE_UNAVAILABLE): a copy that another process evicted; worth another try.
absl::Status LeftTheCache();

// `progress`, for what is counted after `done_before`.
Progress After(int64_t done_before, const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SOURCE_LOCATOR_H_
