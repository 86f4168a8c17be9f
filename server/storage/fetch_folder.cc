// The half of remote_files.h that brings whole folders.
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/algorithm/container.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/storage/remote_files.h"

namespace stockpot {
namespace {

constexpr int kMostListings = 3;
constexpr absl::Duration kLookAgainAfter = absl::Milliseconds(100);

std::string DigestOf(const std::string& what, const std::vector<ListedFile>& files) {
  Sha256 digest;
  digest.UpdateField("stockpot remote folder 1").UpdateField(what);
  for (const ListedFile& file : files) {
    digest.UpdateField(file.uri.ToString()).UpdateField(absl::StrCat(file.size));
    digest.UpdateField(file.version);
  }
  return digest.Finish();
}

// Those that can be files of a folder here.
std::vector<ListedFile> Usable(std::vector<ListedFile> files) {
  files.erase(std::remove_if(files.begin(), files.end(),
                             [](const ListedFile& file) { return !IsPathBelow(file.path); }),
              files.end());
  return files;
}

absl::Status FolderChanged() {
  return WithReason(absl::FailedPreconditionError(
                        "the folder changed while it was read; try again once it is at rest"),
                    "CHECKPOINT_CHANGED");
}

// A file as it arrives.
class ArrivingFile {
 public:
  explicit ArrivingFile(const std::string& path)
      : fd_(open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)),
        open_error_(fd_ < 0 ? errno : 0) {}
  ~ArrivingFile() {
    if (fd_ >= 0) close(fd_);
  }
  ArrivingFile(const ArrivingFile&) = delete;
  ArrivingFile& operator=(const ArrivingFile&) = delete;

  absl::Status StartOver() {
    size_ = 0;
    sum_ = Sha256();
    if (fd_ < 0) return ErrnoStatus(open_error_, "cannot write to the download cache");
    const bool is_done = ftruncate(fd_, 0) == 0 && lseek(fd_, 0, SEEK_SET) == 0;
    return is_done ? absl::OkStatus() : ErrnoStatus(errno, "cannot write to the download cache");
  }
  absl::Status Append(absl::string_view bytes) {
    sum_.Update(bytes);
    size_ += bytes.size();
    while (!bytes.empty()) {
      const ssize_t written = write(fd_, bytes.data(), bytes.size());
      if (written < 0 && errno == EINTR) continue;
      if (written < 0) return ErrnoStatus(errno, "cannot write to the download cache");
      bytes.remove_prefix(static_cast<size_t>(written));
    }
    return absl::OkStatus();
  }
  uint64_t size() const { return size_; }
  std::string Sum() { return sum_.Finish(); }

 private:
  const int fd_;
  const int open_error_;
  uint64_t size_ = 0;
  Sha256 sum_;
};

// Counts bytes of many files, from any thread.
class SharedProgress {
 public:
  SharedProgress(const Progress& progress, uint64_t total)
      : progress_(progress), total_(static_cast<int64_t>(total)) {}
  absl::Status Add(int64_t bytes) {
    absl::MutexLock lock(&mutex_);
    done_ += bytes;
    told_ = std::max(told_, done_);
    return progress_(std::min(told_, total_), total_);
  }

 private:
  const Progress& progress_;
  const int64_t total_;
  absl::Mutex mutex_;
  int64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t told_ ABSL_GUARDED_BY(mutex_) = 0;  // never falls
};

// One try at one file: all of it, of the size that was listed.
absl::Status ReadListed(RemoteStore* store, const ListedFile& listed, ArrivingFile* into,
                        SharedProgress* progress) {
  const KeepGoing keep_going = [&] { return progress->Add(0); };
  ASSIGN_OR_RETURN(const std::unique_ptr<RemoteFile> file,
                   store->Look(listed.uri, Purpose::kData, keep_going));
  const RemoteFile::Facts& facts = file->facts();
  if (facts.size.value_or(listed.size) != listed.size) return FolderChanged();
  // A web server has no listings: what is known is of a look, and must be so still. Others name
  // versions otherwise in listings.
  const bool was_looked_at = absl::StartsWith(listed.uri.scheme, "http");
  if (was_looked_at && facts.version != listed.version) return FolderChanged();
  RETURN_IF_ERROR(progress->Add(-static_cast<int64_t>(into->size())));
  RETURN_IF_ERROR(into->StartOver());
  const auto sink = [&](absl::string_view bytes) -> absl::Status {
    if (bytes.size() > listed.size - into->size()) return FolderChanged();
    RETURN_IF_ERROR(into->Append(bytes));
    return progress->Add(static_cast<int64_t>(bytes.size()));
  };
  while (facts.has_ranges && into->size() < listed.size) {
    RETURN_IF_ERROR(file->Read(into->size(), listed.size, sink, keep_going));
  }
  if (!facts.has_ranges && listed.size > 0) RETURN_IF_ERROR(file->ReadAll(sink, keep_going));
  if (into->size() != listed.size) return FolderChanged();
  if (!facts.sha256.empty() && into->Sum() != facts.sha256) {
    return WithReason(absl::DataLossError("what arrived has not the SHA-256 that its server gives"),
                      "SOURCE_DAMAGED");
  }
  return absl::OkStatus();
}

absl::StatusOr<uint64_t> CheckListing(const std::vector<ListedFile>& files, uint64_t max_bytes) {
  uint64_t bytes = 0;
  for (const ListedFile& file : files) {
    if (file.size > max_bytes - bytes) {
      return WithReason(absl::FailedPreconditionError(
                            absl::StrCat("its files are larger than the ", max_bytes,
                                         " bytes that the operator allows (--max_download_bytes)")),
                        "SOURCE_TOO_LARGE");
    }
    bytes += file.size;
  }
  return bytes;
}

}  // namespace

absl::Status RemoteFiles::BringFolder(const std::vector<ListedFile>& files, uint64_t bytes,
                                      FolderCache::Partial* into, const Progress& progress) {
  SharedProgress shared(progress, bytes);
  const auto bring = [&](size_t i) -> absl::Status {
    const ListedFile& file = files[i];
    if (into->Has(file.path, file.size)) return shared.Add(static_cast<int64_t>(file.size));
    ASSIGN_OR_RETURN(RemoteStore* const store, StoreOf(file.uri));
    const auto write = [&](const std::string& path) {
      ArrivingFile arriving(path);
      return Retry(
          options_.download.retry, options_.download.sleep, [&] { return shared.Add(0); },
          [&] { return ReadListed(store, file, &arriving, &shared); });
    };
    return AtFile(into->Write(file.path, write), file.path);
  };
  return ForEachInParallel(files.size(), bring, Unwatched, options_.folder_connections);
}

absl::StatusOr<bool> RemoteFiles::FetchListed(const std::string& what,
                                              const std::vector<ListedFile>& files,
                                              const ListAgain& list_again, const Progress& progress,
                                              LocalFolder* into) {
  const std::string digest = DigestOf(what, files);
  ASSIGN_OR_RETURN(const uint64_t bytes, CheckListing(files, options_.max_bytes));
  for (bool first = true;; first = false) {
    ASSIGN_OR_RETURN(FolderCache::Use use, folders_.TryUse(digest));
    if (first) CountLookup(!use.path.empty());
    if (!use.path.empty()) {
      into->path = std::move(use.path);
      into->hold = std::move(use.hold);
      return true;
    }
    ASSIGN_OR_RETURN(const auto partial, folders_.TryFill(digest, bytes, options_.max_bytes));
    if (partial == nullptr) {  // somebody else does
      options_.download.sleep(kLookAgainAfter);
      RETURN_IF_ERROR(progress(0, 0));
      continue;
    }
    const absl::Status brought = BringFolder(files, bytes, partial.get(), progress);
    if (GetErrorFacts(brought).reason == "CHECKPOINT_CHANGED" || absl::IsNotFound(brought)) {
      return false;
    }
    RETURN_IF_ERROR(brought);
    // What was listed may have changed file by file; what a commit names does not.
    if (!absl::c_all_of(files, [](const ListedFile& f) { return IsCommit(f.uri.revision); })) {
      ASSIGN_OR_RETURN(const std::vector<ListedFile> now, list_again());
      if (DigestOf(what, now) != digest) return false;
    }
    RETURN_IF_ERROR(partial->Commit(bytes));
  }
}

absl::StatusOr<RemoteFiles::LocalFolder> RemoteFiles::FetchFolder(const std::string& uri,
                                                                  const Progress& progress) {
  ASSIGN_OR_RETURN(const RemoteUri folder, ParseRemoteFolder(uri));
  const auto list = [&]() -> absl::StatusOr<std::vector<ListedFile>> {
    ASSIGN_OR_RETURN(std::vector<ListedFile> files,
                     List(folder, kMostFolderFiles, [&] { return progress(0, 0); }));
    return Usable(std::move(files));
  };
  for (int listing = 0; listing < kMostListings; ++listing) {
    ASSIGN_OR_RETURN(const std::vector<ListedFile> files, list());
    if (files.empty()) return absl::NotFoundError("there is no file below it");
    LocalFolder local;
    RemoteUri pinned = folder;
    pinned.revision = files.front().uri.revision;
    local.pinned_uri = pinned.ToString();
    ASSIGN_OR_RETURN(const bool is_whole,
                     FetchListed(folder.ToString(), files, list, progress, &local));
    if (is_whole) return local;
  }
  return FolderChanged();
}

std::shared_ptr<const FolderCache::Hold> RemoteFiles::HoldAgain(const std::string& path) const {
  const std::string name = path.substr(path.rfind('/') + 1);
  const auto use = folders_.TryUse(name.substr(0, name.find('.')));
  return use.ok() && use->path == path ? use->hold : nullptr;
}

absl::StatusOr<RemoteFiles::LocalFolder> RemoteFiles::FetchFiles(std::vector<NamedFile> files,
                                                                 const Progress& progress) {
  if (files.size() > kMostFolderFiles) return TooManyFiles(kMostFolderFiles);
  absl::c_sort(files, [](const NamedFile& a, const NamedFile& b) { return a.name < b.name; });
  Sha256 names;
  for (const NamedFile& file : files) names.UpdateField(file.name);
  const std::string what = absl::StrCat("files ", names.Finish());
  const auto find = [&] { return FindVersions(files, progress); };
  for (int listing = 0; listing < kMostListings; ++listing) {
    ASSIGN_OR_RETURN(const std::vector<ListedFile> found, find());
    LocalFolder local;
    ASSIGN_OR_RETURN(const bool is_whole, FetchListed(what, found, find, progress, &local));
    if (is_whole) return local;
  }
  return FolderChanged();
}

}  // namespace stockpot
