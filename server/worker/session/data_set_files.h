// Where the files of a data set are on this host, whatever its URI: the one place that turns what a
// client says of a data set into what worker/dataset opens.
// Thread safety: the function is thread-safe, SourceLocator is not.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_DATA_SET_FILES_H_
#define STOCKPOT_SERVER_WORKER_SESSION_DATA_SET_FILES_H_

#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/dataset/data_set.h"
#include "server/worker/dataset/transform_preset.h"
#include "server/worker/session/source_locator.h"
#include "stockpot/v1/spec.pb.h"

namespace stockpot {

struct LocatedDataSet {
  DataSetSource source;  // its paths and geometry are those to read
  // What the URI names: a file, a folder, or the first of several files. Its pinned URI is that of
  // all of them, and what `progress` was told is of all.
  SourceLocator::Located located;
  // Of image_transform's preset or config_uri.
  std::optional<TransformPreset> preset;
};

// Looks at every file anew, and brings those of other machines.
// Errors: of SourceLocator, ExpandShards, ReadTransformConfig and BringManifestFiles; UNAVAILABLE
// (SOURCE_UNAVAILABLE) a branch that moved between two files.
absl::StatusOr<LocatedDataSet> LocateDataSet(const v1::DataSet& data_set,
                                             const DataSetLimits& limits, SourceLocator* locator,
                                             const Progress& progress);

// The URI of LocatedDataSet::located.
std::string FirstUriOf(const v1::DataSet& data_set);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_DATA_SET_FILES_H_
