// Copies a finished job's artifacts to an object store. Thread safety: the function is
// thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_ARTIFACT_PUBLISHER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_ARTIFACT_PUBLISHER_H_

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/storage/local_path.h"
#include "server/storage/remote_files.h"
#include "stockpot/worker/v1/worker_service.pb.h"

namespace stockpot {

// The files of `task` in their order, each whole and read back before the next: the manifest, which
// is the last, is there only when all others are. One of this job that is there already, of an
// attempt that was cut short, goes first. Without files it is looked whether they could be written.
// `remote_files` may be null where no URI may lead elsewhere. `progress` counts mebibytes.
// Errors: of AllowList::CheckOutput and RemoteOutput; ALREADY_EXISTS (reason OUTPUT_EXISTS):
// another job's manifest is there; of reading the files; what `progress` gave.
absl::StatusOr<worker::v1::ArtifactsPublished> PublishArtifacts(
    const worker::v1::PublishArtifacts& task, const AllowList& allow_list,
    RemoteFiles* remote_files, const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_ARTIFACT_PUBLISHER_H_
