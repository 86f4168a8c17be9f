#include "server/worker/session/sources.h"

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/session/task_messages.h"

namespace stockpot {
namespace {

// A path that is not there has the reason of what was looked for.
absl::Status NotFoundAs(const absl::Status& status, absl::string_view reason) {
  return absl::IsNotFound(status) ? WithReason(status, reason) : status;
}

template <typename T>
absl::StatusOr<T> In(absl::string_view kind, absl::string_view uri, absl::StatusOr<T> result) {
  if (result.ok()) return result;
  return Annotate(result.status(), absl::StrCat(kind, " ", ShownUri(uri)));
}

// Between being brought and being opened another process may have needed the room.
absl::Status UnlessEvicted(const std::string& uri, const absl::Status& opened) {
  return IsRemoteUri(uri) && absl::IsNotFound(opened) ? LeftTheCache() : opened;
}

absl::Status RemoteFolder() {
  return WithReason(
      absl::UnimplementedError("image folders are not read over the network by this release; give "
                               "tensors in a .safetensors file, or a folder of the server"),
      "NOT_IMPLEMENTED");
}

}  // namespace

absl::Status CheckDigest(const std::string& expected, const std::string& found) {
  if (expected.empty() || expected == found) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError("the content is not what was inspected when the job began: the "
                                    "file changed; create the job again once it is at rest"),
      "CHECKPOINT_CHANGED");
}

Sources::Sources(Options options, AllowList allow_list, const FailPoints* fail_points,
                 RemoteFiles* remote_files)
    : options_(std::move(options)),
      fail_points_(fail_points),
      locator_(std::move(allow_list), remote_files),
      checkpoints_(options_.kept_checkpoints),
      views_(options_.kept_checkpoints),
      data_sets_(options_.kept_data_sets),
      architecture_digests_(options_.kept_architecture_digests) {}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(const std::string& uri,
                                                            const Progress& progress) {
  return In("checkpoint", uri, [&]() -> absl::StatusOr<Checkpoint> {
    const auto located = locator_.Locate(uri, Purpose::kData, progress);
    if (!located.ok()) return NotFoundAs(located.status(), "CHECKPOINT_NOT_FOUND");
    Checkpoint* kept = checkpoints_.Find(located->file);
    if (kept == nullptr) {
      Checkpoint opened;
      auto state_dict = stockpot::OpenCheckpoint(located->file.path, options_.checkpoint_limits);
      RETURN_IF_ERROR(UnlessEvicted(uri, state_dict.status()));
      opened.state_dict = *std::move(state_dict);
      ASSIGN_OR_RETURN(opened.content, SummarizeContent(*opened.state_dict,
                                                        After(located->mebibytes_told, progress)));
      kept = checkpoints_.Put(located->file, std::move(opened));
    }
    locator_.Remember(uri, kept->content.digest, *located);
    kept->pinned_uri = located->pinned_uri;
    return *kept;
  }());
}

std::shared_ptr<const StateDict> Sources::Select(const std::shared_ptr<const StateDict>& state_dict,
                                                 const TensorSelection& selection) {
  if (selection.empty()) return state_dict;
  ViewKey key{state_dict.get(), selection.base.get(), selection.excluded, selection.from_base};
  if (const auto* known = views_.Find(key)) return *known;
  return *views_.Put(std::move(key), SelectTensors(state_dict, selection));
}

const Sources::Checkpoint* Sources::FindKnown(const worker::v1::CheckpointReference& reference) {
  const auto* located = locator_.Find(reference.uri(), reference.digest());
  return located == nullptr ? nullptr : checkpoints_.Find(located->file);
}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(
    const worker::v1::CheckpointReference& reference, const Progress& progress) {
  if (const Checkpoint* known = FindKnown(reference)) return *known;
  ASSIGN_OR_RETURN(Checkpoint opened, OpenCheckpoint(reference.uri(), progress));
  RETURN_IF_ERROR(Annotate(CheckDigest(reference.digest(), opened.content.digest),
                           absl::StrCat("checkpoint ", reference.uri())));
  return opened;
}

absl::StatusOr<Sources::OpenedDataSet> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                            const Progress& progress) {
  return In("data set", data_set.uri(), [&]() -> absl::StatusOr<OpenedDataSet> {
    if (IsRemoteUri(data_set.uri()) &&
        ToDataSetSource(data_set, "").kind == DataSetSource::Kind::kImageFolder) {
      return RemoteFolder();
    }
    const auto located = locator_.Locate(data_set.uri(), Purpose::kData, progress);
    if (!located.ok()) return NotFoundAs(located.status(), "DATA_SET_NOT_FOUND");
    OpenedDataSet opened;
    opened.pinned_uri = located->pinned_uri;
    auto found = stockpot::OpenDataSet(ToDataSetSource(data_set, located->file.path),
                                       options_.cache_folder, options_.data_set_limits,
                                       After(located->mebibytes_told, progress), fail_points_);
    RETURN_IF_ERROR(UnlessEvicted(data_set.uri(), found.status()));
    opened.data_set = *std::move(found);
    data_sets_.Put({located->file, data_set.SerializeAsString()}, opened.data_set);
    locator_.Remember(data_set.uri(), opened.data_set->digest(), *located);
    return opened;
  }());
}

const std::shared_ptr<const DataSet>* Sources::FindKnown(const v1::DataSet& data_set,
                                                         const std::string& digest) {
  if (const auto* located = locator_.Find(data_set.uri(), digest)) {
    return data_sets_.Find({located->file, data_set.SerializeAsString()});
  }
  if (IsRemoteUri(data_set.uri())) return nullptr;
  const auto located = locator_.Locate(data_set.uri(), Purpose::kData, Unwatched);
  if (!located.ok()) return nullptr;
  const auto* known = data_sets_.Find({located->file, data_set.SerializeAsString()});
  return known != nullptr && (*known)->digest() == digest ? known : nullptr;
}

absl::StatusOr<std::shared_ptr<const DataSet>> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                                    const std::string& digest,
                                                                    const Progress& progress) {
  if (const auto* known = FindKnown(data_set, digest)) return *known;
  ASSIGN_OR_RETURN(const OpenedDataSet opened, OpenDataSet(data_set, progress));
  RETURN_IF_ERROR(Annotate(CheckDigest(digest, opened.data_set->digest()),
                           absl::StrCat("data set ", data_set.uri())));
  return opened.data_set;
}

absl::StatusOr<Sources::Architecture> Sources::FindArchitecture(const std::string& uri,
                                                                const std::string& digest,
                                                                const Progress& progress) {
  return In("architecture", uri, [&]() -> absl::StatusOr<Architecture> {
    if (const auto* known = locator_.Find(uri, digest)) {
      const auto now = IdentifyFile(known->file.path);  // it may have left the cache
      if (now.ok() && *now == known->file) return Architecture{known->file, digest, ""};
    }
    const auto located = locator_.Locate(uri, Purpose::kArchitecture, progress);
    if (!located.ok()) return NotFoundAs(located.status(), "ARCHITECTURE_INVALID");
    Architecture found{located->file, "", located->pinned_uri};
    if (const std::string* known = architecture_digests_.Find(found.file)) {
      found.digest = *known;
    } else {
      const auto content = MappedFile::Open(found.file.path);
      if (!content.ok()) {
        return UnlessEvicted(uri, WithReason(content.status(), "ARCHITECTURE_INVALID"));
      }
      (*content)->WillReadSequentially();
      found.digest = Sha256Hex((*content)->bytes());
      architecture_digests_.Put(found.file, found.digest);
    }
    locator_.Remember(uri, found.digest, *located);
    return found;
  }());
}

}  // namespace stockpot
