// Files that a manifest names on other machines, brought to this one.
// Thread safety: as SourceLocator.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_MANIFEST_FILES_H_
#define STOCKPOT_SERVER_WORKER_SESSION_MANIFEST_FILES_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/session/source_locator.h"

namespace stockpot {

// `source` is of a manifest or of JSON lines, `path` where it or its copy is, `uri` its URI, pinned
// as far as it can be. Sets `uri_folder`, and `folder` where the manifest is on another machine: a
// path is then that of a file below the manifest's URI. Gives that folder, which stays as long as
// the hold; nothing is located where no file is elsewhere.
// Errors: of ReadManifestFile and SourceLocator::LocateFiles; DATA_SET_INVALID a path that leaves
// the manifest's folder; INVALID_ARGUMENT (IMAGE_UNREADABLE) a file that is not there. Those of an
// entry name its line.
absl::StatusOr<SourceLocator::Located> BringManifestFiles(const std::string& uri,
                                                          const DataSetLimits& limits,
                                                          SourceLocator* locator,
                                                          const Progress& progress,
                                                          DataSetSource* source);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_MANIFEST_FILES_H_
