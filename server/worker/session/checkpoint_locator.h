// Where the files of a checkpoint are on this host, be it one file, several, or a folder.
// Thread safety: as SourceLocator.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_CHECKPOINT_LOCATOR_H_
#define STOCKPOT_SERVER_WORKER_SESSION_CHECKPOINT_LOCATOR_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/checkpoint/checkpoint_files.h"
#include "server/worker/session/file_identity.h"
#include "server/worker/session/least_recently_used.h"
#include "server/worker/session/source_locator.h"

namespace stockpot {

struct LocatedCheckpoint {
  CheckpointFiles files;                 // without a base
  std::vector<FileIdentity> identities;  // of all of them, the named one first
  std::string pinned_uri;                // as in worker.v1.CheckpointFound
  int64_t mebibytes_told = 0;            // what `progress` was told of downloads
};

// Which further files an index or adapter names, by what that file is: parsed once.
using KnownFurtherFiles = LeastRecentlyUsed<FileIdentity, std::vector<std::string>>;

// Every file is looked at anew, brought here when it is remote, and has to be allowed: those that
// an index names too. All files of an hf:// checkpoint are of the commit that the first one was.
// Errors: of SourceLocator::Locate and FurtherFiles; NOT_FOUND (CHECKPOINT_NOT_FOUND).
absl::StatusOr<LocatedCheckpoint> LocateCheckpoint(const std::string& uri,
                                                   const CheckpointLimits& limits,
                                                   SourceLocator* locator, KnownFurtherFiles* known,
                                                   const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_CHECKPOINT_LOCATOR_H_
