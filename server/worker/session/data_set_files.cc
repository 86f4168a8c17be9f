#include "server/worker/session/data_set_files.h"

#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/shard_pattern.h"
#include "server/worker/session/manifest_files.h"
#include "server/worker/session/task_messages.h"

namespace stockpot {
namespace {

using Kind = DataSetSource::Kind;
using Located = SourceLocator::Located;

bool NeedsFolder(Kind kind, absl::string_view uri) {
  switch (kind) {
    case Kind::kImageFolder:
      return true;
    case Kind::kParquet:
      return !absl::EndsWith(uri, ".parquet");
    case Kind::kNumpy:
      return !absl::EndsWith(uri, ".npz");
    case Kind::kCsv:
    case Kind::kJsonLines:
    case Kind::kTensors:
    case Kind::kWebDataset:
      return false;
  }
  return true;
}

std::string NameIn(absl::string_view uri) { return std::string(uri.substr(uri.rfind('/') + 1)); }

// Brings one file after another, counting on.
class Bringer {
 public:
  Bringer(SourceLocator* locator, const Progress& progress)
      : locator_(*locator), progress_(progress) {}

  absl::StatusOr<Located> Bring(const std::string& uri) {
    ASSIGN_OR_RETURN(Located located,
                     locator_.Locate(uri, Purpose::kData, After(told_, progress_)));
    return Counted(std::move(located));
  }
  absl::StatusOr<Located> BringFolder(const std::string& uri) {
    ASSIGN_OR_RETURN(Located located, locator_.LocateFolder(uri, After(told_, progress_)));
    return Counted(std::move(located));
  }
  // Those that a manifest of this URI names.
  absl::StatusOr<Located> BringManifestFiles(const std::string& uri, const DataSetLimits& limits,
                                             DataSetSource* source) {
    ASSIGN_OR_RETURN(Located located, stockpot::BringManifestFiles(
                                          uri, limits, &locator_, After(told_, progress_), source));
    return Counted(std::move(located));
  }

 private:
  Located Counted(Located located) {
    told_ += located.mebibytes_told;
    located.mebibytes_told = told_;
    return located;
  }

  SourceLocator& locator_;
  const Progress& progress_;
  int64_t told_ = 0;
};

// The pattern at the commit that its first file was found at.
std::string PinnedPattern(const std::string& pattern, const std::string& first,
                          const std::string& first_pinned) {
  const size_t open = pattern.find('{');
  if (first_pinned.empty() || open == std::string::npos) return first_pinned;
  const std::string tail = first.substr(open);
  if (!absl::EndsWith(first_pinned, tail)) return first_pinned;
  return first_pinned.substr(0, first_pinned.size() - tail.size()) + pattern.substr(open);
}

absl::Status BringShards(const std::string& pattern, Bringer* bringer, LocatedDataSet* set) {
  ASSIGN_OR_RETURN(const std::vector<std::string> uris, ExpandShards(pattern));
  std::vector<std::string> pinned;
  for (const std::string& uri : uris) {
    absl::StatusOr<Located> brought = bringer->Bring(uri);
    if (!brought.ok()) return Annotate(brought.status(), NameIn(uri));
    const Located& located = *brought;
    set->source.files.push_back({NameIn(uri), located.file.path});
    pinned.push_back(located.pinned_uri);
    if (uri == uris[0]) set->located = located;
    set->located.mebibytes_told = located.mebibytes_told;
  }
  set->located.pinned_uri = PinnedPattern(pattern, uris[0], pinned[0]);
  if (set->located.pinned_uri.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::vector<std::string> expected, ExpandShards(set->located.pinned_uri));
  if (expected == pinned) return absl::OkStatus();
  return WithReason(absl::UnavailableError("the branch moved between two of its files: try again"),
                    "SOURCE_UNAVAILABLE");
}

absl::StatusOr<TransformPreset> BringPreset(const std::string& uri, Bringer* bringer) {
  const auto read = [&]() -> absl::StatusOr<TransformPreset> {
    ASSIGN_OR_RETURN(const Located located, bringer->Bring(uri));
    ASSIGN_OR_RETURN(const std::string text,
                     ReadSmallFile(located.file.path, kMaxTransformConfigBytes));
    return ReadTransformConfig(text);
  };
  absl::StatusOr<TransformPreset> preset = read();
  if (preset.ok()) return preset;
  const absl::Status status =
      Annotate(preset.status(), absl::StrCat("image_transform.config_uri ", ShownUri(uri)));
  return absl::IsNotFound(status) ? WithReason(status, "DATA_SET_NOT_FOUND") : status;
}

// What else there is to a manifest that is here.
absl::Status BringManifest(const std::string& uri, const DataSetLimits& limits, Bringer* bringer,
                           LocatedDataSet* set) {
  if (!IsRemoteUri(uri)) {
    // Images are found from where the manifest was said to be, and may be read there too.
    ASSIGN_OR_RETURN(const std::string path, LocalPath(uri));
    ASSIGN_OR_RETURN(const Located folder, bringer->Bring(path.substr(0, path.rfind('/') + 1)));
    set->source.folder = folder.file.path;
  }
  const std::string& pinned = set->located.pinned_uri;
  ASSIGN_OR_RETURN(const Located files, bringer->BringManifestFiles(pinned.empty() ? uri : pinned,
                                                                    limits, &set->source));
  set->located.mebibytes_told = files.mebibytes_told;
  set->located.hold = files.hold;
  set->located.held = files.held;
  return absl::OkStatus();
}

}  // namespace

std::string FirstUriOf(const v1::DataSet& data_set) {
  if (ToDataSetSource(data_set, "").kind != Kind::kWebDataset) return data_set.uri();
  const auto uris = ExpandShards(data_set.uri());
  return uris.ok() ? uris->front() : data_set.uri();
}

absl::StatusOr<LocatedDataSet> LocateDataSet(const v1::DataSet& data_set,
                                             const DataSetLimits& limits, SourceLocator* locator,
                                             const Progress& progress) {
  LocatedDataSet set;
  set.source = ToDataSetSource(data_set, "");
  const Kind kind = set.source.kind;
  const std::string& uri = data_set.uri();
  Bringer bringer(locator, progress);
  set.preset = NamedPresetOf(data_set.image_transform());
  const std::string& config = data_set.image_transform().config_uri();
  if (!config.empty()) {
    ASSIGN_OR_RETURN(set.preset, BringPreset(config, &bringer));
  }
  if (set.preset.has_value()) set.source.geometry = set.preset->geometry;
  const bool is_remote_folder = IsRemoteUri(uri) && NeedsFolder(kind, uri);
  // A copy of one file may be evicted at any time; of a folder there is a hold.
  set.source.files_stay = !IsRemoteUri(uri) || is_remote_folder;
  if (kind == Kind::kWebDataset) {
    RETURN_IF_ERROR(BringShards(uri, &bringer, &set));
    return set;
  }
  ASSIGN_OR_RETURN(set.located, is_remote_folder ? bringer.BringFolder(uri) : bringer.Bring(uri));
  set.source.path = set.located.file.path;
  if (kind == Kind::kCsv || kind == Kind::kJsonLines) {
    RETURN_IF_ERROR(BringManifest(uri, limits, &bringer, &set));
  } else if (IsRemoteUri(uri) && kind == Kind::kParquet && !is_remote_folder) {
    set.source.files = {{NameIn(uri), set.source.path}};  // copies are not called as the original
  }
  return set;
}

}  // namespace stockpot
