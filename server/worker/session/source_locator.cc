#include "server/worker/session/source_locator.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/storage/checkpoints_below.h"

namespace stockpot {
namespace {

// As many as a job has ingredients, some times over.
constexpr size_t kMostKnown = 10'000;
constexpr int kMebibyteBits = 20;
// Files that a pattern's folder may hold.
constexpr size_t kMostListed = 100'000;

// `progress` counts mebibytes; what it was told last is kept in `told`.
Progress InMebibytes(const Progress& progress, int64_t* told) {
  return [&progress, told](int64_t done, int64_t total) {
    *told = std::max(*told, done >> kMebibyteBits);
    return progress(*told, total == 0 ? 0 : (total >> kMebibyteBits) + 1);
  };
}

}  // namespace

absl::StatusOr<SourceLocator::Located> SourceLocator::Locate(const std::string& uri,
                                                             Purpose purpose,
                                                             const Progress& progress) {
  if (IsRemoteUri(uri)) return Bring(uri, purpose, progress);
  ASSIGN_OR_RETURN(const std::string path, purpose == Purpose::kData
                                               ? allow_list_.ResolveData(uri)
                                               : allow_list_.ResolveArchitecture(uri));
  Located located;
  ASSIGN_OR_RETURN(located.file, IdentifyFile(path));
  return located;
}

absl::StatusOr<SourceLocator::Located> SourceLocator::Bring(const std::string& uri, Purpose purpose,
                                                            const Progress& progress) {
  ASSIGN_OR_RETURN(const std::string spelled, purpose == Purpose::kData
                                                  ? allow_list_.CheckData(uri)
                                                  : allow_list_.CheckArchitecture(uri));
  RETURN_IF_ERROR(CheckReadsRemotely());
  Located located;
  ASSIGN_OR_RETURN(
      const RemoteFiles::LocalCopy copy,
      remote_files_->Fetch(spelled, purpose, InMebibytes(progress, &located.mebibytes_told)));
  const absl::StatusOr<FileIdentity> file = IdentifyFile(copy.path);
  if (absl::IsNotFound(file.status())) return LeftTheCache();
  RETURN_IF_ERROR(file.status());
  located.file = *file;
  if (copy.pinned_uri != spelled) located.pinned_uri = copy.pinned_uri;
  return located;
}

absl::Status SourceLocator::CheckReadsRemotely() const {
  if (remote_files_ != nullptr) return absl::OkStatus();
  return WithReason(absl::UnimplementedError("this worker reads local files only"),
                    "NOT_IMPLEMENTED");
}

absl::StatusOr<SourceLocator::Located> SourceLocator::LocateFolder(const std::string& uri,
                                                                   const Progress& progress) {
  if (!IsRemoteUri(uri)) return Locate(uri, Purpose::kData, progress);
  ASSIGN_OR_RETURN(const std::string spelled, allow_list_.CheckDataFolder(uri));
  RETURN_IF_ERROR(CheckReadsRemotely());
  Located located;
  ASSIGN_OR_RETURN(
      RemoteFiles::LocalFolder folder,
      remote_files_->FetchFolder(spelled, InMebibytes(progress, &located.mebibytes_told)));
  ASSIGN_OR_RETURN(located.file, IdentifyFile(folder.path));
  if (folder.pinned_uri != spelled) located.pinned_uri = folder.pinned_uri;
  located.held = located.file;
  located.hold = std::move(folder.hold);
  return located;
}

absl::StatusOr<SourceLocator::Located> SourceLocator::LocateFiles(
    const std::vector<NamedUri>& files, const Progress& progress) {
  RETURN_IF_ERROR(CheckReadsRemotely());
  std::vector<RemoteFiles::NamedFile> allowed;
  for (const NamedUri& file : files) {
    const absl::StatusOr<std::string> spelled = allow_list_.CheckData(file.uri);
    if (!spelled.ok()) return AtFile(spelled.status(), file.name);
    ASSIGN_OR_RETURN(RemoteUri uri, ParseRemoteUri(*spelled));
    allowed.push_back({file.name, std::move(uri)});
  }
  Located located;
  ASSIGN_OR_RETURN(RemoteFiles::LocalFolder folder,
                   remote_files_->FetchFiles(std::move(allowed),
                                             InMebibytes(progress, &located.mebibytes_told)));
  ASSIGN_OR_RETURN(located.file, IdentifyFile(folder.path));
  located.held = located.file;
  located.hold = std::move(folder.hold);
  return located;
}

std::shared_ptr<const void> SourceLocator::HoldAgain(const FileIdentity& held) const {
  if (remote_files_ == nullptr) return nullptr;
  std::shared_ptr<const void> hold = remote_files_->HoldAgain(held.path);
  const absl::StatusOr<FileIdentity> now = IdentifyFile(held.path);
  return now.ok() && *now == held ? hold : nullptr;
}

absl::StatusOr<std::vector<std::string>> SourceLocator::Expand(const std::string& uri_pattern,
                                                               size_t most,
                                                               const Progress& progress) {
  ASSIGN_OR_RETURN(const UriPattern pattern, ParseUriPattern(uri_pattern));
  auto found =
      IsRemoteUri(uri_pattern) ? ExpandRemotely(pattern, progress) : ExpandLocally(pattern);
  if (!found.ok()) {
    const absl::Status status =
        Annotate(found.status(), absl::StrCat("looking below ", pattern.folder));
    return absl::IsNotFound(status) ? WithReason(status, "CHECKPOINT_NOT_FOUND") : status;
  }
  const bool is_folder = pattern.parts.empty();
  if (is_folder) {
    const CheckpointsBelow below = FindCheckpoints(found->paths);
    if (below.is_one) return std::vector<std::string>{uri_pattern};
    std::vector<std::string> uris;
    for (const size_t file : below.files) uris.push_back(std::move(found->uris[file]));
    found->uris = std::move(uris);
  }
  if (found->uris.empty()) {
    const std::string looked_at =
        found->looked_at == 0 ? "" : absl::StrCat(" (looked at ", found->looked_at, " files)");
    return WithReason(
        absl::NotFoundError(is_folder ? absl::StrCat("no checkpoint below ", pattern.folder, ": ",
                                                     kWhatCheckpointsAre, looked_at)
                                      : absl::StrCat("no file below ", pattern.folder, " matches ",
                                                     uri_pattern, looked_at)),
        "CHECKPOINT_NOT_FOUND");
  }
  if (found->uris.size() > most) {
    return WithReason(
        absl::FailedPreconditionError(absl::StrCat(
            found->uris.size(), is_folder ? " checkpoints are below " : " files match ",
            uri_pattern, ", and ", most, " ingredients are the most that a job may have")),
        "SOURCE_TOO_LARGE");
  }
  return found->uris;
}

absl::StatusOr<SourceLocator::Matching> SourceLocator::ExpandLocally(
    const UriPattern& pattern) const {
  ASSIGN_OR_RETURN(const std::string path, LocalPath(pattern.folder));
  ASSIGN_OR_RETURN(const std::string folder, allow_list_.ResolveData(pattern.folder));
  const auto may_enter = [this](const std::string& entered) {
    return allow_list_.ResolveData(entered).status();
  };
  Matching matching;
  ASSIGN_OR_RETURN(matching.paths, ListLocalMatches(folder, pattern, kMostListed, may_enter));
  // By the path that the client knows, not the real one.
  for (const std::string& below : matching.paths) {
    matching.uris.push_back(absl::StrCat(path == "/" ? "" : path, "/", below));
  }
  return matching;
}

absl::StatusOr<SourceLocator::Matching> SourceLocator::ExpandRemotely(const UriPattern& pattern,
                                                                      const Progress& progress) {
  ASSIGN_OR_RETURN(const std::string spelled, allow_list_.CheckDataFolder(pattern.folder));
  RETURN_IF_ERROR(CheckReadsRemotely());
  ASSIGN_OR_RETURN(const RemoteUri folder, ParseRemoteFolder(spelled));
  ASSIGN_OR_RETURN(const std::vector<ListedFile> files,
                   remote_files_->List(folder, kMostListed, [&] { return progress(0, 0); }));
  Matching matching;
  matching.looked_at = files.size();
  for (const ListedFile& file : files) {
    if (!Matches(pattern, file.path)) continue;
    matching.paths.push_back(file.path);
    matching.uris.push_back(file.uri.ToString());
  }
  return matching;
}

const SourceLocator::Located* SourceLocator::Find(const std::string& uri,
                                                  const std::string& digest) const {
  const auto found = known_.find({uri, digest});
  return found == known_.end() ? nullptr : &found->second;
}

void SourceLocator::Remember(const std::string& uri, const std::string& digest,
                             const Located& located) {
  if (!IsRemoteUri(uri)) return;
  if (known_.size() >= kMostKnown) known_.clear();
  Located kept = located;
  kept.hold = nullptr;
  known_[{uri, digest}] = kept;
  if (!located.pinned_uri.empty()) known_[{located.pinned_uri, digest}] = kept;
}

absl::Status LeftTheCache() {
  return WithReason(absl::UnavailableError(
                        "the file left the download cache before it was read; the operator gives "
                        "it more room with --max_download_bytes"),
                    "SOURCE_UNAVAILABLE");
}

Progress After(int64_t done_before, const Progress& progress) {
  return [done_before, &progress](int64_t done, int64_t total) {
    return progress(done_before + done, total == 0 ? 0 : done_before + total);
  };
}

}  // namespace stockpot
