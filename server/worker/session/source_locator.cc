#include "server/worker/session/source_locator.h"

#include <algorithm>

#include "server/base/status.h"

namespace stockpot {
namespace {

// As many as a job has ingredients, some times over.
constexpr size_t kMostKnown = 10'000;
constexpr int kMebibyteBits = 20;

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
  if (remote_files_ == nullptr) {
    return WithReason(absl::UnimplementedError("this worker reads local files only"),
                      "NOT_IMPLEMENTED");
  }
  Located located;
  const Progress downloading = [&](int64_t done, int64_t total) {
    located.mebibytes_told = std::max(located.mebibytes_told, done >> kMebibyteBits);
    return progress(located.mebibytes_told, total == 0 ? 0 : (total >> kMebibyteBits) + 1);
  };
  ASSIGN_OR_RETURN(const RemoteFiles::LocalCopy copy,
                   remote_files_->Fetch(spelled, purpose, downloading));
  const absl::StatusOr<FileIdentity> file = IdentifyFile(copy.path);
  if (absl::IsNotFound(file.status())) return LeftTheCache();
  RETURN_IF_ERROR(file.status());
  located.file = *file;
  if (copy.pinned_uri != spelled) located.pinned_uri = copy.pinned_uri;
  return located;
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
  known_[{uri, digest}] = located;
  if (!located.pinned_uri.empty()) known_[{located.pinned_uri, digest}] = located;
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
