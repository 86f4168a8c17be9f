// Where the bytes of a URI are on this host: a local file that is allowed, or the copy of a remote
// one. Thread safety: confined to one thread.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SOURCE_LOCATOR_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SOURCE_LOCATOR_H_

#include <cstdint>
#include <map>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/local_path.h"
#include "server/storage/remote_files.h"
#include "server/worker/session/file_identity.h"

namespace stockpot {

class SourceLocator {
 public:
  struct Located {
    FileIdentity file;
    std::string pinned_uri;      // as in worker.v1.CheckpointFound
    int64_t mebibytes_told = 0;  // what `progress` was told of the download
  };

  // `remote_files` may be null: no URI leads elsewhere then. It must outlive this.
  SourceLocator(AllowList allow_list, RemoteFiles* remote_files)
      : allow_list_(std::move(allow_list)), remote_files_(remote_files) {}

  // Looks at the file anew, and brings it here when it is remote and changed. `progress` counts
  // mebibytes. Errors: of AllowList and RemoteFiles; UNIMPLEMENTED (reason NOT_IMPLEMENTED).
  absl::StatusOr<Located> Locate(const std::string& uri, Purpose purpose, const Progress& progress);

  // What a remote URI was found to be when its content had this digest: for tasks that name the
  // digest, so that they need not ask the network again. Null when it is not known, and of local
  // files, which cost nothing to look at. Good until the next call.
  const Located* Find(const std::string& uri, const std::string& digest) const;
  void Remember(const std::string& uri, const std::string& digest, const Located& located);

 private:
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
