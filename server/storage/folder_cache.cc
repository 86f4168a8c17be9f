#include "server/storage/folder_cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <filesystem>
#include <system_error>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "server/base/files.h"
#include "server/base/random_id.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kComplete[] = ".folder";
constexpr char kFilling[] = ".part";
constexpr char kArriving[] = ".arriving";
constexpr char kLock[] = ".lock";
constexpr char kLastUse[] = ".used";
constexpr char kBoot[] = ".boot";
constexpr size_t kDigits = 64;
constexpr size_t kMostSmallBytes = 1000;
constexpr size_t kMostNameLength = 255;

bool IsThere(const std::string& path) { return access(path.c_str(), F_OK) == 0; }

// Which run of the machine this is.
std::string Boot() {
  return ReadSmallFile("/proc/sys/kernel/random/boot_id", kMostSmallBytes).value_or("");
}

// Null: another has it.
absl::StatusOr<std::shared_ptr<const FolderCache::Hold>> TryLock(const std::string& base,
                                                                 int operation) {
  const int fd = open((base + kLock).c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot lock the download cache");
  auto hold = std::make_shared<const FolderCache::Hold>(fd);
  if (flock(fd, operation | LOCK_NB) == 0) return hold;
  if (errno == EWOULDBLOCK) return std::shared_ptr<const FolderCache::Hold>();
  return ErrnoStatus(errno, "cannot lock the download cache");
}

uint64_t BytesOf(const std::string& base) {
  uint64_t bytes = 0;
  const absl::StatusOr<std::string> text = ReadSmallFile(base + kLastUse, kMostSmallBytes);
  return text.ok() && absl::SimpleAtoi(*text, &bytes) ? bytes : 0;
}

absl::Status WritePlainly(const std::string& path, const std::string& content) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot write to the download cache");
  const ssize_t written = write(fd, content.data(), content.size());
  const int error = errno;
  close(fd);
  if (written == static_cast<ssize_t>(content.size())) return absl::OkStatus();
  return ErrnoStatus(written < 0 ? error : ENOSPC, "cannot write to the download cache");
}

absl::Status SyncAllOf(const std::string& folder) {
  const int fd = open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoStatus(errno, "cannot sync the download cache");
  const int result = syncfs(fd);
  const int error = errno;
  close(fd);
  return result == 0 ? absl::OkStatus() : ErrnoStatus(error, "cannot sync the download cache");
}

}  // namespace

bool IsPathBelow(absl::string_view path) {
  if (path.find('\0') != absl::string_view::npos) return false;
  for (const absl::string_view part : absl::StrSplit(path, '/')) {
    if (part.empty() || part == "." || part == ".." || part.size() > kMostNameLength) return false;
  }
  return true;
}

FolderCache::Hold::~Hold() { close(fd_); }

absl::StatusOr<FolderCache> FolderCache::Create(const std::string& path) {
  RETURN_IF_ERROR(Annotate(MakeFolders(path), "download cache"));
  return FolderCache(path);
}

absl::StatusOr<FolderCache::Use> FolderCache::TryUse(const std::string& digest) const {
  const std::string base = path_ + "/" + digest;
  if (!IsThere(base + kComplete)) return Use();
  ASSIGN_OR_RETURN(std::shared_ptr<const Hold> hold, TryLock(base, LOCK_SH));
  if (hold == nullptr || !IsThere(base + kComplete)) return Use();
  utimensat(AT_FDCWD, (base + kLastUse).c_str(), nullptr, 0);
  return Use{base + kComplete, std::move(hold)};
}

absl::StatusOr<std::unique_ptr<FolderCache::Partial>> FolderCache::TryFill(
    const std::string& digest, uint64_t bytes, uint64_t max_bytes) const {
  const std::string base = path_ + "/" + digest;
  ASSIGN_OR_RETURN(std::shared_ptr<const Hold> hold, TryLock(base, LOCK_EX));
  if (hold == nullptr || IsThere(base + kComplete)) return std::unique_ptr<Partial>();
  Evict(bytes < max_bytes ? max_bytes - bytes : 0, digest);
  const std::string boot = Boot();
  if (boot.empty() || ReadSmallFile(base + kBoot, kMostSmallBytes).value_or("") != boot) {
    RETURN_IF_ERROR(RemoveAll(base + kFilling));
    RETURN_IF_ERROR(WritePlainly(base + kBoot, boot));
  }
  RETURN_IF_ERROR(RemoveAll(base + kArriving));
  for (const char* folder : {kFilling, kArriving}) RETURN_IF_ERROR(MakeFolders(base + folder));
  RETURN_IF_ERROR(WritePlainly(base + kLastUse, absl::StrCat(bytes)));
  return std::unique_ptr<Partial>(new Partial(base, std::move(hold)));
}

bool FolderCache::Partial::Has(const std::string& file, uint64_t size) const {
  struct stat status = {};
  return lstat(absl::StrCat(base_, kFilling, "/", file).c_str(), &status) == 0 &&
         S_ISREG(status.st_mode) && static_cast<uint64_t>(status.st_size) == size;
}

absl::Status FolderCache::Partial::Write(
    const std::string& file, const std::function<absl::Status(const std::string&)>& write) const {
  const std::string path = absl::StrCat(base_, kFilling, "/", file);
  const absl::Status made = MakeFolders(path.substr(0, path.rfind('/')));
  // Object stores may have both.
  if (!made.ok() && !absl::IsResourceExhausted(made)) {
    return Annotate(made,
                    "a path may be a file and a folder at once there, which it cannot be here");
  }
  RETURN_IF_ERROR(made);
  const std::string written = absl::StrCat(base_, kArriving, "/", RandomId());
  absl::Status status = write(written);
  if (status.ok() && rename(written.c_str(), path.c_str()) != 0) {
    status = ErrnoStatus(errno, "cannot rename in the download cache");
  }
  if (!status.ok()) unlink(written.c_str());
  return status;
}

absl::Status FolderCache::Partial::Commit(uint64_t bytes) {
  RETURN_IF_ERROR(SyncAllOf(base_ + kFilling));
  RETURN_IF_ERROR(WritePlainly(base_ + kLastUse, absl::StrCat(bytes)));
  RETURN_IF_ERROR(Annotate(RenameDurably(base_ + kFilling, base_ + kComplete), "download cache"));
  unlink((base_ + kBoot).c_str());
  RemoveAll(base_ + kArriving).IgnoreError();  // it is empty, and harms nobody
  return absl::OkStatus();
}

void FolderCache::Evict(uint64_t max_bytes, const std::string& keep) const {
  struct Cached {
    std::filesystem::file_time_type used;
    uint64_t bytes;
    std::string base;
  };
  std::vector<Cached> folders;
  uint64_t total = 0;
  std::error_code error;  // others may remove folders meanwhile: what is gone needs no eviction
  for (auto entry = std::filesystem::directory_iterator(path_, error);
       !error && entry != std::filesystem::directory_iterator(); entry.increment(error)) {
    const std::string name = entry->path().filename().string();
    if (name.size() != kDigits + sizeof(kLastUse) - 1 || !absl::EndsWith(name, kLastUse)) continue;
    const std::string digest = name.substr(0, kDigits), base = path_ + "/" + digest;
    std::error_code gone;
    const auto used = entry->last_write_time(gone);
    if (gone || digest == keep) continue;
    folders.push_back({used, BytesOf(base), base});
    total += folders.back().bytes;
  }
  std::sort(folders.begin(), folders.end(),
            [](const Cached& a, const Cached& b) { return a.used < b.used; });
  for (const Cached& folder : folders) {
    if (total <= max_bytes) return;
    const auto hold = TryLock(folder.base, LOCK_EX);
    if (!hold.ok() || *hold == nullptr) continue;
    // Never half of it under its name.
    rename((folder.base + kComplete).c_str(), (folder.base + kFilling).c_str());
    if (!RemoveAll(folder.base + kFilling).ok() || !RemoveAll(folder.base + kArriving).ok()) {
      continue;
    }
    for (const char* ending : {kBoot, kLastUse}) unlink((folder.base + ending).c_str());
    total -= folder.bytes;
  }
}

}  // namespace stockpot
