// Images named by a manifest. Its paths are relative to its folder and stay below it: absolute
// paths, "..", and symbolic links that lead out are refused. Or they are URIs of files on other
// machines, which whoever opens the manifest has brought before.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_IMAGES_H_
#define STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_IMAGES_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/dataset/image_source.h"
#include "server/worker/dataset/manifest_reader.h"

namespace stockpot {

// The name of the copy of a URI, as it stands in a manifest, below `source.uri_folder`. No two URIs
// have the same.
std::string CopyNameOf(absl::string_view uri);

// A path of a manifest without empty parts and ".": what a file below a folder of another machine
// is called. Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID, where it leaves its folder.
absl::StatusOr<std::string> NormalManifestPath(absl::string_view path);

// What the manifest lists. Errors: of ReadManifest; DATA_SET_NOT_FOUND; DATA_SET_INVALID larger
// than the limit.
absl::StatusOr<std::vector<ManifestEntry>> ReadManifestFile(const DataSetSource& source,
                                                            const DataSetLimits& limits);

// An error of an entry, with its line and path.
absl::Status AtEntry(const absl::Status& status, const ManifestEntry& entry);

// The manifest `source.path`, whose images are below `source.folder` and `source.uri_folder`.
// Errors: of ReadManifest; DATA_SET_INVALID a path that leaves the folder, IMAGE_UNREADABLE one
// where there is no file, each naming line and path.
absl::StatusOr<std::shared_ptr<const ImageSource>> OpenManifest(const DataSetSource& source,
                                                                const DataSetLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_MANIFEST_IMAGES_H_
