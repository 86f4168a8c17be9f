#include "server/storage/remote_files.h"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/random_id.h"
#include "server/base/status.h"
#include "server/storage/metered_store.h"

namespace stockpot {
namespace {

// A file that changes while it is read is read again from the start, so many times in all.
constexpr int kMostVersions = 3;
constexpr absl::Duration kLookAgainEvery = absl::Milliseconds(100);

std::string CacheName(const RemoteUri& uri, const RemoteFile::Facts& facts) {
  Sha256 digest;
  digest.UpdateField("stockpot remote file 1");
  if (!facts.sha256.empty()) {
    digest.UpdateField("sha256").UpdateField(facts.sha256);
  } else if (!facts.version.empty()) {
    digest.UpdateField("version").UpdateField(uri.ToString()).UpdateField(facts.version);
    digest.UpdateField(facts.size.has_value() ? absl::StrCat(*facts.size) : "");
  } else {
    digest.UpdateField("once").UpdateField(RandomId());  // cannot be known again
  }
  return digest.Finish() + ".file";
}

bool IsWorthAnotherLook(const absl::Status& status) {
  const std::string reason = GetErrorFacts(status).reason;
  return reason == "CHECKPOINT_CHANGED" || reason == "SOURCE_DAMAGED";
}

}  // namespace

absl::StatusOr<std::unique_ptr<RemoteFiles>> RemoteFiles::Create(Options options, Stores stores,
                                                                 Clock* clock,
                                                                 const FailPoints* fail_points) {
  options.download.max_bytes = options.max_bytes;
  if (options.counters != nullptr) stores = Metered(std::move(stores), options.counters);
  ASSIGN_OR_RETURN(CacheFolder cache, CacheFolder::Create(options.cache_folder, fail_points));
  ASSIGN_OR_RETURN(FolderCache folders, FolderCache::Create(options.cache_folder + "/folders"));
  return std::unique_ptr<RemoteFiles>(new RemoteFiles(std::move(options), std::move(stores), clock,
                                                      std::move(cache), std::move(folders)));
}

absl::StatusOr<RemoteFiles::LocalCopy> RemoteFiles::Fetch(const std::string& uri, Purpose purpose,
                                                          const Progress& progress) {
  ASSIGN_OR_RETURN(const RemoteUri parsed, ParseRemoteUri(uri));
  if (parsed.is_folder()) {
    return WithReason(absl::InvalidArgumentError("names a folder, where a file is needed"),
                      "INVALID_FIELD");
  }
  ASSIGN_OR_RETURN(RemoteStore* const store, StoreOf(parsed));
  for (int version = 1;; ++version) {
    absl::StatusOr<LocalCopy> copy = FetchOnce(store, parsed, purpose, progress);
    if (copy.ok() || version == kMostVersions || !IsWorthAnotherLook(copy.status())) return copy;
  }
}

absl::StatusOr<RemoteStore*> RemoteFiles::StoreOf(const RemoteUri& uri) const {
  const auto store = stores_.find(uri.scheme);
  if (store != stores_.end()) return store->second.get();
  return WithReason(absl::UnimplementedError(
                        absl::StrCat("scheme '", uri.scheme, "' is not read by this server")),
                    "NOT_IMPLEMENTED");
}

absl::StatusOr<std::vector<ListedFile>> RemoteFiles::List(const RemoteUri& folder, size_t most,
                                                          const KeepGoing& keep_going) {
  ASSIGN_OR_RETURN(RemoteStore* const store, StoreOf(folder));
  std::vector<ListedFile> files;
  RETURN_IF_ERROR(
      Retry(options_.download.retry, options_.download.sleep, keep_going, [&]() -> absl::Status {
        absl::StatusOr<std::vector<ListedFile>> listed = store->List(folder, most, keep_going);
        if (!listed.ok()) return listed.status();
        files = *std::move(listed);
        return absl::OkStatus();
      }));
  return files;
}

absl::StatusOr<RemoteFiles::LocalCopy> RemoteFiles::FetchOnce(RemoteStore* store,
                                                              const RemoteUri& uri, Purpose purpose,
                                                              const Progress& progress) {
  const KeepGoing keep_going = [&] { return progress(0, 0); };
  std::unique_ptr<RemoteFile> file;
  RETURN_IF_ERROR(
      Retry(options_.download.retry, options_.download.sleep, keep_going, [&]() -> absl::Status {
        absl::StatusOr<std::unique_ptr<RemoteFile>> looked = store->Look(uri, purpose, keep_going);
        if (!looked.ok()) return looked.status();
        file = *std::move(looked);
        return absl::OkStatus();
      }));
  const std::string name = CacheName(uri, file->facts());
  bool is_here = IsHere(name, file->facts());
  CountLookup(is_here);
  for (; !is_here; is_here = IsHere(name, file->facts())) {
    const absl::Status brought = Bring(file.get(), name, progress);
    if (!brought.ok()) return brought;
  }
  cache_.TouchBeside(name);
  return LocalCopy{cache_.PathOf(name), file->facts().pinned_uri};
}

void RemoteFiles::CountLookup(bool hit) const {
  if (options_.counters != nullptr) options_.counters->CountLookup(kDownloadCache, hit);
}

bool RemoteFiles::IsHere(const std::string& name, const RemoteFile::Facts& facts) const {
  struct stat status = {};
  if (stat(cache_.PathOf(name).c_str(), &status) != 0) return false;
  return !facts.size.has_value() || static_cast<uint64_t>(status.st_size) == *facts.size;
}

// One step towards having it: downloads it, or waits a moment for who does.
absl::Status RemoteFiles::Bring(RemoteFile* file, const std::string& name,
                                const Progress& progress) {
  ASSIGN_OR_RETURN(const std::unique_ptr<ResumableFile> partial, cache_.TryResume(name));
  if (partial == nullptr) {
    options_.download.sleep(kLookAgainEvery);
    return progress(0, 0);
  }
  if (IsHere(name, file->facts())) {  // somebody was faster
    partial->Remove();
    return absl::OkStatus();
  }
  // Room is made first; 0 would be no bound.
  const uint64_t size = file->facts().size.value_or(0);
  cache_.Evict(size < options_.max_bytes ? options_.max_bytes - size : 1, name);
  const absl::StatusOr<uint64_t> downloaded =
      Download(file, options_.download, clock_, partial.get(), progress);
  // Nobody would go on with what has a name of its own, or is of a version that is gone.
  const bool is_of_use =
      downloaded.ok() || (!file->facts().version.empty() && file->facts().has_ranges &&
                          GetErrorFacts(downloaded.status()).reason != "CHECKPOINT_CHANGED");
  if (!is_of_use) partial->Remove();
  RETURN_IF_ERROR(downloaded.status());
  RETURN_IF_ERROR(Annotate(partial->Commit(*downloaded), "download cache"));
  cache_.Evict(options_.max_bytes, name);
  return absl::OkStatus();
}

}  // namespace stockpot
