#include "server/worker/checkpoint/summed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr uint64_t kSyncBytes = 8 << 20;

}  // namespace

absl::StatusOr<SummedFile> SummedFile::Create(const std::string& path) {
  if (path.empty()) return SummedFile(-1, /*kept=*/false);
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot create");
  return SummedFile(fd, /*kept=*/true);
}

SummedFile::SummedFile(SummedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      kept_(other.kept_),
      finished_(std::exchange(other.finished_, true)),
      failure_(std::move(other.failure_)),
      digest_(std::move(other.digest_)),
      written_(std::move(other.written_)) {}

SummedFile::~SummedFile() {
  if (fd_ >= 0) close(fd_);
}

absl::Status SummedFile::Fail(int error, absl::string_view what) {
  failure_ = ErrnoStatus(error, what);
  return failure_;
}

absl::Status SummedFile::Write(absl::string_view bytes) {
  RETURN_IF_ERROR(Store(bytes));
  Sum(bytes);
  return absl::OkStatus();
}

absl::Status SummedFile::Store(absl::string_view bytes) {
  RETURN_IF_ERROR(failure_);
  if (finished_) return absl::FailedPreconditionError("the file is finished already");
  written_.byte_count += bytes.size();
  while (kept_ && !bytes.empty()) {
    const ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return Fail(errno, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  if (kept_ && written_.byte_count - syncing_ >= kSyncBytes) BeginToSync();
  return absl::OkStatus();
}

// The disk works while the rest is made, so that Finish() waits for little. Whether it worked is
// what fsync() says in the end.
void SummedFile::BeginToSync() {
  const auto from = static_cast<off64_t>(std::exchange(syncing_, written_.byte_count));
  sync_file_range(fd_, from, static_cast<off64_t>(syncing_) - from, SYNC_FILE_RANGE_WRITE);
}

absl::StatusOr<WrittenFile> SummedFile::Finish() {
  RETURN_IF_ERROR(failure_);
  if (std::exchange(finished_, true)) {
    return absl::FailedPreconditionError("the file is finished already");
  }
  if (kept_) {
    if (fsync(fd_) != 0) return Fail(errno, "cannot sync");
    if (close(std::exchange(fd_, -1)) != 0) return Fail(errno, "cannot close");
  }
  written_.sha256 = digest_.Finish();
  return written_;
}

}  // namespace stockpot
