#include "server/storage/cache_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kPartial[] = ".part-";
constexpr char kResumable[] = ".resume";
constexpr char kUsed[] = ".used";
constexpr size_t kDigestDigits = 64;

// Nothing else in the folder is ever touched, in case it was not meant to be the cache's own.
bool IsCacheName(absl::string_view name) {
  return name.size() > kDigestDigits && name[kDigestDigits] == '.' &&
         name.find_first_not_of("0123456789abcdef") == kDigestDigits;
}

// 0 when the lock is had, else errno.
int Lock(int fd, int operation) {
  while (flock(fd, operation) != 0) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

}  // namespace

CacheFolder::BuildLock::~BuildLock() {
  if (fd_ >= 0) close(fd_);
}

CacheFolder::PartialFile::PartialFile(PartialFile&& other) noexcept
    : fd_(other.fd_),
      path_(std::move(other.path_)),
      final_path_(std::move(other.final_path_)),
      fail_points_(other.fail_points_) {
  other.fd_ = -1;
}

CacheFolder::PartialFile::~PartialFile() {
  if (fd_ < 0) return;
  close(fd_);
  if (!path_.empty()) unlink(path_.c_str());
}

absl::Status CacheFolder::PartialFile::WriteAt(absl::string_view bytes, uint64_t offset) const {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "cannot write to the data cache");
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status CacheFolder::PartialFile::Commit(bool sync) {
  if (!sync) {
    if (rename(path_.c_str(), final_path_.c_str()) != 0) {
      return ErrnoStatus(errno, "cannot rename in the data cache");
    }
    path_.clear();
    return absl::OkStatus();
  }
  if (fsync(fd_) != 0) return ErrnoStatus(errno, "cannot sync the data cache");
  if (fail_points_ != nullptr) fail_points_->Reach("cache_file_written");
  RETURN_IF_ERROR(Annotate(RenameDurably(path_, final_path_), "data cache"));
  path_.clear();
  return absl::OkStatus();
}

absl::StatusOr<CacheFolder> CacheFolder::Create(const std::string& path,
                                                const FailPoints* fail_points,
                                                WorkCounters* counters) {
  RETURN_IF_ERROR(Annotate(MakeFolders(path), "data cache"));
  return CacheFolder(path, fail_points, counters);
}

std::string CacheFolder::LockPathOf(const std::string& name) const {
  return PathOf(absl::StrCat("build-", name.substr(0, 1), ".lock"));
}

absl::StatusOr<CacheFolder::BuildLock> CacheFolder::LockForBuild(const std::string& name) const {
  const int fd = open(LockPathOf(name).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot lock the data cache");
  BuildLock lock(fd);
  const int error = Lock(fd, LOCK_EX);
  if (error != 0 && error != ENOLCK && error != EOPNOTSUPP && error != ENOSYS) {
    return ErrnoStatus(error, "cannot lock the data cache");
  }
  return lock;
}

absl::StatusOr<CacheFolder::PartialFile> CacheFolder::CreatePartial(const std::string& name,
                                                                    uint64_t byte_count) const {
  std::string path = PathOf(absl::StrCat(name, kPartial, "XXXXXX"));
  const int fd = mkostemp(path.data(), O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot create a file of the data cache");
  PartialFile file(fd, std::move(path), PathOf(name), fail_points_);
  // Room is reserved first, so that a full disk is found before an hour of decoding.
  const int error = posix_fallocate(fd, 0, static_cast<off_t>(byte_count));
  if (error != 0) {
    return ErrnoStatus(error, absl::StrCat("the data cache needs ", byte_count, " bytes"));
  }
  return file;
}

absl::StatusOr<std::unique_ptr<ResumableFile>> CacheFolder::TryResume(
    const std::string& name) const {
  return ResumableFile::TryOpen(PathOf(name) + kResumable, PathOf(name), fail_points_);
}

void CacheFolder::Touch(const std::string& name) const {
  utimensat(AT_FDCWD, PathOf(name).c_str(), nullptr, 0);
}

void CacheFolder::TouchBeside(const std::string& name) const {
  const int fd = open((PathOf(name) + kUsed).c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return;
  futimens(fd, nullptr);
  close(fd);
}

void CacheFolder::RemoveAbandoned(const std::string& partial) const {
  const int fd = open(LockPathOf(partial).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return;
  const BuildLock lock(fd);
  if (Lock(fd, LOCK_EX | LOCK_NB) == 0) unlink(PathOf(partial).c_str());
}

bool CacheFolder::RemoveUnlessInUse(const std::string& name) const {
  std::error_code error;
  if (!absl::EndsWith(name, kResumable)) {
    std::filesystem::remove(PathOf(name) + kUsed, error);
    return std::filesystem::remove(PathOf(name), error);
  }
  const auto file = ResumableFile::TryOpen(PathOf(name), "", nullptr);
  if (!file.ok() || *file == nullptr) return false;
  (*file)->Remove();
  return true;
}

void CacheFolder::Evict(uint64_t max_bytes, const std::string& keep) const {
  struct CachedFile {
    std::filesystem::file_time_type used;
    uint64_t byte_count;
    std::filesystem::path path;
  };
  std::vector<CachedFile> files;
  uint64_t total = 0;
  std::error_code error;  // others may remove files meanwhile: what is gone needs no eviction
  for (auto entry = std::filesystem::directory_iterator(path_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (!IsCacheName(name)) continue;
    if (name.find(kPartial) != std::string::npos) {
      RemoveAbandoned(name);
      continue;
    }
    if (absl::EndsWith(name, kUsed)) {
      const std::string of = name.substr(0, name.size() - (sizeof(kUsed) - 1));
      if (!std::filesystem::exists(PathOf(of), error)) std::filesystem::remove(PathOf(name), error);
      continue;
    }
    std::error_code gone, never;
    const uint64_t byte_count = entry->file_size(gone);
    auto used = entry->last_write_time(gone);
    if (gone) continue;
    const auto used_later = std::filesystem::last_write_time(PathOf(name) + kUsed, never);
    if (!never) used = std::max(used, used_later);
    total += byte_count;
    if (name != keep) files.push_back({used, byte_count, entry->path()});
  }
  if (max_bytes == 0) return;
  std::sort(files.begin(), files.end(),
            [](const CachedFile& a, const CachedFile& b) { return a.used < b.used; });
  for (const CachedFile& file : files) {
    if (total <= max_bytes) return;
    if (RemoveUnlessInUse(file.path.filename())) total -= file.byte_count;
  }
}

}  // namespace stockpot
