#include "server/storage/resumable_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstring>
#include <utility>
#include <vector>

#include "server/base/crc32c.h"
#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

static_assert(std::endian::native == std::endian::little, "the numbers of the file are so");

constexpr absl::string_view kLayoutMark = "STPOTPT1";
constexpr uint64_t kPartMark = 0x50415254;
constexpr size_t kReadBytes = 1 << 20;

// Whether `path` still names what was opened: who had it may have finished or removed it meanwhile.
bool IsStillNamed(int fd, const std::string& path) {
  struct stat opened = {}, named = {};
  return fstat(fd, &opened) == 0 && stat(path.c_str(), &named) == 0 &&
         opened.st_ino == named.st_ino && opened.st_dev == named.st_dev;
}

std::string LayoutHeader(uint64_t part_bytes) {
  std::string header(kLayoutMark);
  header.append(reinterpret_cast<const char*>(&part_bytes), sizeof(part_bytes));
  return header;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ResumableFile>> ResumableFile::TryOpen(
    const std::string& path, const std::string& final_path, const FailPoints* fail_points) {
  while (true) {
    const int fd = open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) return ErrnoStatus(errno, "cannot create a file of the cache");
    std::unique_ptr<ResumableFile> file(new ResumableFile(fd, path, final_path, fail_points));
    int locked;
    while ((locked = flock(fd, LOCK_EX | LOCK_NB)) != 0 && errno == EINTR) continue;
    if (locked != 0 && errno == EWOULDBLOCK) return std::unique_ptr<ResumableFile>();
    if (locked != 0) return ErrnoStatus(errno, "cannot lock a file of the cache");
    if (IsStillNamed(fd, path)) return file;
  }
}

ResumableFile::~ResumableFile() { close(fd_); }

uint64_t ResumableFile::EndOf(uint64_t part) const {
  return std::min(size_, (part + 1) * part_bytes_);
}

absl::Status ResumableFile::LayOut(uint64_t size, uint64_t part_bytes) {
  size_ = size;
  part_bytes_ = part_bytes;
  part_count_ = (size + part_bytes - 1) / part_bytes;
  const std::string header = LayoutHeader(part_bytes);
  const uint64_t total = size + header.size() + part_count_ * sizeof(uint64_t);
  struct stat status = {};
  std::string found(header.size(), '\0');
  if (fstat(fd_, &status) == 0 && static_cast<uint64_t>(status.st_size) == total &&
      ReadAt(size, found.size(), found.data()).ok() && found == header) {
    return absl::OkStatus();
  }
  if (ftruncate(fd_, 0) != 0) return ErrnoStatus(errno, "cannot empty a file of the cache");
  const int error = posix_fallocate(fd_, 0, static_cast<off_t>(total));
  if (error != 0) {
    if (ftruncate(fd_, 0) != 0) Remove();  // what was reserved so far
    return ErrnoStatus(error, "no room for the file in the cache");
  }
  return WriteAt(header, size);
}

absl::Status ResumableFile::StartOver() {
  size_ = part_bytes_ = part_count_ = 0;
  return ftruncate(fd_, 0) == 0 ? absl::OkStatus()
                                : ErrnoStatus(errno, "cannot empty a file of the cache");
}

absl::StatusOr<bool> ResumableFile::HasPart(uint64_t part) const {
  uint64_t note = 0;
  const uint64_t at = size_ + LayoutHeader(0).size() + part * sizeof(note);
  RETURN_IF_ERROR(ReadAt(at, sizeof(note), reinterpret_cast<char*>(&note)));
  if (note >> 32 != kPartMark) return false;
  std::vector<char> buffer(kReadBytes);
  uint32_t sum = 0;
  for (uint64_t begin = BeginOf(part); begin < EndOf(part); begin += buffer.size()) {
    const auto size = static_cast<size_t>(std::min<uint64_t>(buffer.size(), EndOf(part) - begin));
    RETURN_IF_ERROR(ReadAt(begin, size, buffer.data()));
    sum = ExtendCrc32c(sum, absl::string_view(buffer.data(), size));
  }
  return sum == static_cast<uint32_t>(note);
}

absl::Status ResumableFile::WriteAt(absl::string_view bytes, uint64_t offset) const {
  while (!bytes.empty()) {
    const ssize_t written = pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoStatus(errno, "cannot write to the cache");
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return absl::OkStatus();
}

absl::Status ResumableFile::NotePart(uint64_t part, uint32_t crc32c) const {
  const uint64_t note = kPartMark << 32 | crc32c;
  return WriteAt(absl::string_view(reinterpret_cast<const char*>(&note), sizeof(note)),
                 size_ + LayoutHeader(0).size() + part * sizeof(note));
}

absl::Status ResumableFile::ReadAt(uint64_t offset, size_t size, char* out) const {
  while (size > 0) {
    const ssize_t count = pread(fd_, out, size, static_cast<off_t>(offset));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "cannot read a file of the cache");
    if (count == 0) return absl::DataLossError("a file of the cache ended early");
    out += count;
    size -= static_cast<size_t>(count);
    offset += static_cast<uint64_t>(count);
  }
  return absl::OkStatus();
}

absl::Status ResumableFile::Commit(uint64_t size) {
  if (ftruncate(fd_, static_cast<off_t>(size)) != 0 || fsync(fd_) != 0) {
    return ErrnoStatus(errno, "cannot sync a file of the cache");
  }
  if (fail_points_ != nullptr) fail_points_->Reach("cache_file_written");
  return RenameDurably(path_, final_path_);
}

void ResumableFile::Remove() { unlink(path_.c_str()); }

}  // namespace stockpot
