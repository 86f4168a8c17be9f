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
  return Annotate(result.status(), absl::StrCat(kind, " ", uri));
}

}  // namespace

absl::Status CheckDigest(const std::string& expected, const std::string& found) {
  if (expected.empty() || expected == found) return absl::OkStatus();
  return WithReason(
      absl::FailedPreconditionError("the content is not what was inspected when the job began: the "
                                    "file changed; create the job again once it is at rest"),
      "CHECKPOINT_CHANGED");
}

Sources::Sources(Options options, AllowList allow_list, const FailPoints* fail_points)
    : options_(std::move(options)),
      allow_list_(std::move(allow_list)),
      fail_points_(fail_points),
      checkpoints_(options_.kept_checkpoints),
      data_sets_(options_.kept_data_sets),
      architecture_digests_(options_.kept_architecture_digests) {}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(const std::string& uri,
                                                            const Progress& progress) {
  return In("checkpoint", uri, [&]() -> absl::StatusOr<Checkpoint> {
    const auto path = allow_list_.ResolveData(uri);
    if (!path.ok()) return NotFoundAs(path.status(), "CHECKPOINT_NOT_FOUND");
    ASSIGN_OR_RETURN(FileIdentity file, IdentifyFile(*path));
    if (const Checkpoint* known = checkpoints_.Find(file)) return *known;
    Checkpoint opened;
    ASSIGN_OR_RETURN(opened.state_dict,
                     stockpot::OpenCheckpoint(*path, options_.checkpoint_limits));
    ASSIGN_OR_RETURN(opened.content, SummarizeContent(*opened.state_dict, progress));
    return *checkpoints_.Put(std::move(file), std::move(opened));
  }());
}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(
    const worker::v1::CheckpointReference& reference, const Progress& progress) {
  ASSIGN_OR_RETURN(Checkpoint opened, OpenCheckpoint(reference.uri(), progress));
  RETURN_IF_ERROR(Annotate(CheckDigest(reference.digest(), opened.content.digest),
                           absl::StrCat("checkpoint ", reference.uri())));
  return opened;
}

absl::StatusOr<Sources::DataSetKey> Sources::KeyOf(const v1::DataSet& data_set) const {
  const auto path = allow_list_.ResolveData(data_set.uri());
  if (!path.ok()) return NotFoundAs(path.status(), "DATA_SET_NOT_FOUND");
  ASSIGN_OR_RETURN(FileIdentity file, IdentifyFile(*path));
  return DataSetKey(std::move(file), data_set.SerializeAsString());
}

absl::StatusOr<std::shared_ptr<const DataSet>> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                                    const Progress& progress) {
  using Opened = std::shared_ptr<const DataSet>;
  return In("data set", data_set.uri(), [&]() -> absl::StatusOr<Opened> {
    ASSIGN_OR_RETURN(DataSetKey key, KeyOf(data_set));
    const DataSetSource source = ToDataSetSource(data_set, key.first.path);
    ASSIGN_OR_RETURN(Opened opened,
                     stockpot::OpenDataSet(source, options_.cache_folder, options_.data_set_limits,
                                           progress, fail_points_));
    return *data_sets_.Put(std::move(key), std::move(opened));
  }());
}

absl::StatusOr<std::shared_ptr<const DataSet>> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                                    const std::string& digest,
                                                                    const Progress& progress) {
  const auto key = KeyOf(data_set);
  if (key.ok()) {
    const auto* known = data_sets_.Find(*key);
    if (known != nullptr && (*known)->digest() == digest) return *known;
  }
  ASSIGN_OR_RETURN(std::shared_ptr<const DataSet> opened, OpenDataSet(data_set, progress));
  RETURN_IF_ERROR(
      Annotate(CheckDigest(digest, opened->digest()), absl::StrCat("data set ", data_set.uri())));
  return opened;
}

absl::StatusOr<Sources::Architecture> Sources::FindArchitecture(const std::string& uri) {
  return In("architecture", uri, [&]() -> absl::StatusOr<Architecture> {
    const auto path = allow_list_.ResolveArchitecture(uri);
    if (!path.ok()) return NotFoundAs(path.status(), "ARCHITECTURE_INVALID");
    Architecture found;
    ASSIGN_OR_RETURN(found.file, IdentifyFile(*path));
    if (const std::string* known = architecture_digests_.Find(found.file)) {
      found.digest = *known;
      return found;
    }
    const auto content = MappedFile::Open(*path);
    if (!content.ok()) return WithReason(content.status(), "ARCHITECTURE_INVALID");
    (*content)->WillReadSequentially();
    found.digest = Sha256Hex((*content)->bytes());
    architecture_digests_.Put(found.file, found.digest);
    return found;
  }());
}

}  // namespace stockpot
