#include "server/worker/session/sources.h"

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "server/worker/session/data_set_files.h"
#include "server/worker/session/task_messages.h"

namespace stockpot {
namespace {

// As many as a job has ingredients, some times over.
constexpr size_t kMostRemembered = 10'000;

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

// A data set, and what it reads in every pass.
std::shared_ptr<const DataSet> Holding(std::shared_ptr<const void> hold,
                                       std::shared_ptr<const DataSet> data_set) {
  using Both = std::pair<std::shared_ptr<const void>, std::shared_ptr<const DataSet>>;
  const auto both = std::make_shared<const Both>(std::move(hold), std::move(data_set));
  return {both, both->second.get()};
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
      known_further_files_(options_.kept_checkpoints),
      checkpoints_(options_.kept_checkpoints),
      views_(options_.kept_checkpoints),
      data_sets_(options_.kept_data_sets),
      architecture_digests_(options_.kept_architecture_digests) {}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(
    const std::string& uri, const worker::v1::CheckpointReading& reading,
    const Progress& progress) {
  return In("checkpoint", uri, [&]() -> absl::StatusOr<Checkpoint> {
    absl::StatusOr<LocatedCheckpoint> located = LocateCheckpoint(
        uri, options_.checkpoint_limits, &locator_, &known_further_files_, progress);
    RETURN_IF_ERROR(located.status());
    return OpenLocated(uri, *std::move(located), reading, progress);
  }());
}

absl::StatusOr<Sources::Checkpoint> Sources::OpenLocated(
    const std::string& uri, LocatedCheckpoint located, const worker::v1::CheckpointReading& reading,
    const Progress& progress) {
  const bool is_adapter = IsAdapterName(located.files.name);
  worker::v1::CheckpointReading determining = reading;
  determining.clear_adapter_base();
  CheckpointKey key{located.identities, determining.SerializeAsString()};
  const Progress then = After(located.mebibytes_told, progress);
  if (is_adapter && reading.has_adapter_base()) {
    // Under its own names: those that the adapter was made over.
    worker::v1::CheckpointReading plain;
    plain.set_state_dict_key(reading.state_dict_key());
    worker::v1::CheckpointReference named = reading.adapter_base();
    // Its digest is of other names then; what the merge gives is held to a digest of its own.
    if (reading.renames_size() > 0) named.clear_digest();
    ASSIGN_OR_RETURN(const Checkpoint base, OpenCheckpoint(named, plain, then));
    located.files.base = base.state_dict;
    key.reading += base.content.digest;
  }
  Checkpoint* kept = checkpoints_.Find(key);
  const bool hit = kept != nullptr;
  if (kept == nullptr) {
    Checkpoint opened;
    opened.is_adapter = is_adapter;
    auto state_dict = OpenCheckpointFiles(located.files, ToCheckpointReading(reading),
                                          options_.checkpoint_limits);
    RETURN_IF_ERROR(UnlessEvicted(uri, state_dict.status()));
    opened.state_dict = *std::move(state_dict);
    ASSIGN_OR_RETURN(opened.content, SummarizeContent(*opened.state_dict, then));
    kept = checkpoints_.Put(key, std::move(opened));
  }
  CountCheckpoint(hit);
  kept->pinned_uri = located.pinned_uri;
  if (IsRemoteUri(uri)) {
    if (remote_checkpoints_.size() >= kMostRemembered) remote_checkpoints_.clear();
    remote_checkpoints_[{uri, kept->content.digest}] = key;
    if (!kept->pinned_uri.empty()) {
      remote_checkpoints_[{kept->pinned_uri, kept->content.digest}] = key;
    }
  }
  return *kept;
}

void Sources::CountCheckpoint(bool hit) const {
  if (options_.counters == nullptr) return;
  options_.counters->CountLookup(kCheckpointCache, hit);
  if (hit) return;
  uint64_t bytes = 0;
  for (const auto& [key, checkpoint] : checkpoints_.entries()) {
    bytes += checkpoint.content.byte_count;
  }
  options_.counters->SetKeptCheckpointBytes(static_cast<int64_t>(bytes));
}

std::shared_ptr<const StateDict> Sources::Select(const std::shared_ptr<const StateDict>& state_dict,
                                                 const TensorSelection& selection) {
  if (selection.empty()) return state_dict;
  ViewKey key{state_dict.get(), selection.base.get(), selection.excluded, selection.from_base};
  if (const auto* known = views_.Find(key)) return *known;
  return *views_.Put(std::move(key), SelectTensors(state_dict, selection));
}

const Sources::Checkpoint* Sources::FindKnown(const worker::v1::CheckpointReference& reference) {
  const auto known = remote_checkpoints_.find({reference.uri(), reference.digest()});
  return known == remote_checkpoints_.end() ? nullptr : checkpoints_.Find(known->second);
}

absl::StatusOr<Sources::Checkpoint> Sources::OpenCheckpoint(
    const worker::v1::CheckpointReference& reference, const worker::v1::CheckpointReading& reading,
    const Progress& progress) {
  if (const Checkpoint* known = FindKnown(reference)) {
    CountCheckpoint(/*hit=*/true);
    return *known;
  }
  ASSIGN_OR_RETURN(Checkpoint opened, OpenCheckpoint(reference.uri(), reading, progress));
  RETURN_IF_ERROR(Annotate(CheckDigest(reference.digest(), opened.content.digest),
                           absl::StrCat("checkpoint ", reference.uri())));
  return opened;
}

absl::StatusOr<Sources::OpenedDataSet> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                            const Progress& progress) {
  return In("data set", data_set.uri(), [&]() -> absl::StatusOr<OpenedDataSet> {
    const auto set = LocateDataSet(data_set, options_.data_set_limits, &locator_, progress);
    if (!set.ok()) return NotFoundAs(set.status(), "DATA_SET_NOT_FOUND");
    OpenedDataSet opened;
    opened.pinned_uri = set->located.pinned_uri;
    opened.geometry = set->source.geometry;
    opened.preset = set->preset;
    auto found = stockpot::OpenDataSet(set->source, options_.cache_folder, options_.data_set_limits,
                                       After(set->located.mebibytes_told, progress), fail_points_,
                                       options_.counters);
    RETURN_IF_ERROR(UnlessEvicted(data_set.uri(), found.status()));
    opened.data_set = *std::move(found);
    KeptDataSet kept{opened.data_set, {}};
    if (set->located.hold != nullptr && opened.data_set->is_streamed()) {
      kept.folder = set->located.held;
      opened.data_set = Holding(set->located.hold, opened.data_set);
    }
    data_sets_.Put({set->located.file, data_set.SerializeAsString()}, std::move(kept));
    locator_.Remember(data_set.uri(), opened.data_set->digest(), set->located);
    return opened;
  }());
}

std::shared_ptr<const DataSet> Sources::FindKnown(const v1::DataSet& data_set,
                                                  const std::string& digest) {
  FileIdentity file;
  if (const auto* remembered = locator_.Find(data_set.uri(), digest)) {
    file = remembered->file;
  } else {
    if (IsRemoteUri(data_set.uri())) return nullptr;
    const auto located = locator_.Locate(FirstUriOf(data_set), Purpose::kData, Unwatched);
    if (!located.ok()) return nullptr;
    file = located->file;
  }
  // The file may be a manifest, beside which other files changed.
  const auto* known = data_sets_.Find({file, data_set.SerializeAsString()});
  if (known == nullptr || known->data_set->digest() != digest) return nullptr;
  if (known->folder.path.empty()) return known->data_set;
  auto hold = locator_.HoldAgain(known->folder);
  return hold == nullptr ? nullptr : Holding(std::move(hold), known->data_set);
}

absl::StatusOr<std::shared_ptr<const DataSet>> Sources::OpenDataSet(const v1::DataSet& data_set,
                                                                    const std::string& digest,
                                                                    const Progress& progress) {
  if (auto known = FindKnown(data_set, digest)) return known;
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
