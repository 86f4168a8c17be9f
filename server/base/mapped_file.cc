#include "server/base/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "server/base/files.h"

namespace stockpot {
namespace {

constexpr size_t kPageBytes = 4096;

}  // namespace

absl::StatusOr<std::shared_ptr<const MappedFile>> MappedFile::Open(const std::string& path) {
  // O_NONBLOCK: opening a FIFO must fail below, not wait for a writer.
  const int fd = open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  if (fd < 0) return ErrnoStatus(errno, "cannot open");
  struct stat info;
  if (fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) {
    close(fd);
    return absl::InvalidArgumentError("not a regular file");
  }
  void* data = nullptr;
  const auto size = static_cast<size_t>(info.st_size);
  if (size > 0) {
    data = mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
    if (data == MAP_FAILED) {
      const int error = errno;
      close(fd);
      return ErrnoStatus(error, "cannot map");
    }
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(fd, data, size));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) munmap(data_, size_);
  close(fd_);
}

void MappedFile::WillReadSequentially() const {
  if (data_ == nullptr) return;
  madvise(data_, size_, MADV_SEQUENTIAL);
  madvise(data_, size_, MADV_WILLNEED);
}

absl::Status MappedFile::Copy(absl::string_view part, char* out) const {
  while (!part.empty()) {
    const auto offset = static_cast<off_t>(part.data() - static_cast<const char*>(data_));
    const ssize_t count = pread(fd_, out, part.size(), offset);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoStatus(errno, "cannot read");
    if (count == 0) return absl::DataLossError("the file has become shorter");
    part.remove_prefix(static_cast<size_t>(count));
    out += count;
  }
  return absl::OkStatus();
}

void MappedFile::ForgetPages(absl::string_view part) const {
  if (part.empty()) return;
  const auto offset = static_cast<size_t>(part.data() - static_cast<const char*>(data_));
  const size_t begin = offset < kMappedAroundBytes ? 0 : offset - kMappedAroundBytes;
  const size_t aligned = begin / kPageBytes * kPageBytes;
  const size_t end = std::min(size_, offset + part.size() + kMappedAroundBytes);
  madvise(static_cast<char*>(data_) + aligned, end - aligned, MADV_DONTNEED);
}

}  // namespace stockpot
