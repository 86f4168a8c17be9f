#include "server/worker/checkpoint/summed_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "server/base/files.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr uint64_t kSyncBytes = 8 << 20;
// Direct writing: what the disk is given at a time, and what addresses and sizes are multiples of.
constexpr size_t kGatheredBytes = 4 << 20;
constexpr size_t kAlignment = 4096;

}  // namespace

absl::StatusOr<SummedFile> SummedFile::Create(const std::string& path, SystemCache cache) {
  if (path.empty()) return SummedFile(-1, /*kept=*/false, nullptr);
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC;
  const int fd = open(path.c_str(), kFlags, 0644);
  if (fd < 0) return ErrnoStatus(errno, "cannot create");
  Buffer gathered;
  if (cache == SystemCache::kBypassed && fcntl(fd, F_SETFL, O_DIRECT) == 0) {
    gathered.reset(static_cast<char*>(std::aligned_alloc(kAlignment, kGatheredBytes)));
    if (gathered == nullptr) fcntl(fd, F_SETFL, 0);
  }
  return SummedFile(fd, /*kept=*/true, std::move(gathered));
}

SummedFile::SummedFile(SummedFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      kept_(other.kept_),
      finished_(std::exchange(other.finished_, true)),
      failure_(std::move(other.failure_)),
      digest_(std::move(other.digest_)),
      gathered_(std::move(other.gathered_)),
      gathered_bytes_(other.gathered_bytes_),
      syncing_(other.syncing_),
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
  if (!kept_) return absl::OkStatus();
  if (gathered_ != nullptr) return Gather(bytes);
  RETURN_IF_ERROR(Put(bytes));
  if (written_.byte_count - syncing_ >= kSyncBytes) BeginToSync();
  return absl::OkStatus();
}

absl::Status SummedFile::Put(absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd_, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    // A disk that wants it otherwise, or a write that ended early, at an odd place.
    if (count < 0 && errno == EINVAL && gathered_ != nullptr) {
      fcntl(fd_, F_SETFL, 0);
      continue;
    }
    if (count < 0) return Fail(errno, "cannot write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::Status SummedFile::Gather(absl::string_view bytes) {
  while (!bytes.empty()) {
    const size_t count = std::min(bytes.size(), kGatheredBytes - gathered_bytes_);
    std::memcpy(gathered_.get() + gathered_bytes_, bytes.data(), count);
    gathered_bytes_ += count;
    bytes.remove_prefix(count);
    if (gathered_bytes_ == kGatheredBytes) RETURN_IF_ERROR(PutGathered());
  }
  return absl::OkStatus();
}

absl::Status SummedFile::PutGathered() {
  return Put({gathered_.get(), std::exchange(gathered_bytes_, 0)});
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
    if (gathered_bytes_ > 0) {
      fcntl(fd_, F_SETFL, 0);  // the rest has no size that the disk takes
      RETURN_IF_ERROR(PutGathered());
    }
    if (fsync(fd_) != 0) return Fail(errno, "cannot sync");
    if (close(std::exchange(fd_, -1)) != 0) return Fail(errno, "cannot close");
  }
  written_.sha256 = digest_.Finish();
  return written_;
}

}  // namespace stockpot
