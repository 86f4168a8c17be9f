#include "server/storage/download.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/crc32c.h"
#include "server/base/digest.h"
#include "server/base/parallel.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// A try that got so far is no failure in a row: a slow line may break often.
constexpr uint64_t kProgressBytes = 256 << 10;
constexpr uint64_t kSumBytes = 4 << 20;

absl::Status TooLarge(uint64_t max_bytes) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat("the file is larger than the ", max_bytes,
                                     " bytes that the operator allows (--max_download_bytes)")),
                    "SOURCE_TOO_LARGE");
}

class Downloading {
 public:
  Downloading(RemoteFile* file, const DownloadOptions& options, Clock* clock, ResumableFile* into,
              const Progress& progress)
      : file_(file),
        options_(options),
        clock_(clock),
        into_(into),
        progress_(progress),
        deadline_(clock->Now() + options.timeout) {}

  absl::Status InParts(uint64_t size) {
    RETURN_IF_ERROR(into_->LayOut(size, options_.part_bytes));
    const absl::Status status = ForEachInParallel(
        into_->part_count(),
        [this](size_t part) {
          const absl::Status got = GetPart(part);
          if (!got.ok()) Fail(got);
          return got;
        },
        Unwatched, options_.connections);
    absl::MutexLock lock(&mutex_);
    return failure_.ok() ? status : failure_;
  }

  absl::StatusOr<uint64_t> InOneStream() {
    uint64_t size = 0;
    const auto sink = [&](absl::string_view bytes) -> absl::Status {
      if (bytes.size() > options_.max_bytes - size) return TooLarge(options_.max_bytes);
      RETURN_IF_ERROR(into_->WriteAt(bytes, size));
      size += bytes.size();
      return Count(static_cast<int64_t>(bytes.size()));
    };
    const auto attempt = [&]() -> absl::Status {
      RETURN_IF_ERROR(into_->StartOver());
      RETURN_IF_ERROR(Count(-static_cast<int64_t>(size)));
      size = 0;
      return file_->ReadAll(sink, KeepsGoing());
    };
    RETURN_IF_ERROR(Retry(options_.retry, options_.sleep, KeepsGoing(), attempt));
    return size;
  }

  absl::Status CheckSum(uint64_t size) {
    Sha256 sum;
    std::vector<char> buffer(kSumBytes);
    for (uint64_t at = 0; at < size; at += buffer.size()) {
      const auto count = static_cast<size_t>(std::min<uint64_t>(buffer.size(), size - at));
      RETURN_IF_ERROR(into_->ReadAt(at, count, buffer.data()));
      sum.Update(absl::string_view(buffer.data(), count));
      RETURN_IF_ERROR(Going());
    }
    if (sum.Finish() == file_->facts().sha256) return absl::OkStatus();
    RETURN_IF_ERROR(into_->StartOver());
    return WithReason(absl::DataLossError("what arrived has not the SHA-256 that its server gives"),
                      "SOURCE_DAMAGED");
  }

 private:
  absl::Status GetPart(uint64_t part) {
    RETURN_IF_ERROR(Going());
    const uint64_t end = into_->EndOf(part);
    uint64_t at = into_->BeginOf(part);
    ASSIGN_OR_RETURN(const bool is_there, into_->HasPart(part));
    if (is_there) return Count(static_cast<int64_t>(end - at));
    uint32_t sum = 0;
    const auto sink = [&](absl::string_view bytes) -> absl::Status {
      RETURN_IF_ERROR(into_->WriteAt(bytes, at));
      at += bytes.size();
      sum = ExtendCrc32c(sum, bytes);
      return Count(static_cast<int64_t>(bytes.size()));
    };
    Retries retries(options_.retry, options_.sleep);
    while (at < end) {
      const uint64_t begin = at;
      const uint32_t sum_before = sum;
      const absl::Status status = file_->Read(at, end, sink, KeepsGoing());
      if (status.ok()) continue;
      if (absl::IsDataLoss(status)) {  // not to be believed
        RETURN_IF_ERROR(Count(-static_cast<int64_t>(at - begin)));
        at = begin;
        sum = sum_before;
      }
      RETURN_IF_ERROR(retries.AfterFailure(status, at - begin >= kProgressBytes, KeepsGoing()));
    }
    return into_->NotePart(part, sum);
  }

  absl::Status Count(int64_t bytes) {
    absl::MutexLock lock(&mutex_);
    done_ += bytes;
    told_ = std::max(told_, done_);
    return Tell();
  }

  absl::Status Going() {
    absl::MutexLock lock(&mutex_);
    return Tell();
  }

  KeepGoing KeepsGoing() {
    return [this] { return Going(); };
  }

  absl::Status Tell() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (!failure_.ok()) return failure_;
    if (clock_->Now() > deadline_) {
      return WithReason(
          absl::UnavailableError(absl::StrCat("the download took longer than ",
                                              absl::FormatDuration(options_.timeout))),
          "SOURCE_UNAVAILABLE");
    }
    return progress_(told_, static_cast<int64_t>(file_->facts().size.value_or(0)));
  }

  // Ends the other parts.
  void Fail(const absl::Status& failure) {
    absl::MutexLock lock(&mutex_);
    if (failure_.ok()) failure_ = failure;
  }

  RemoteFile* const file_;
  const DownloadOptions& options_;
  Clock* const clock_;
  ResumableFile* const into_;
  const Progress& progress_;
  const absl::Time deadline_;
  absl::Mutex mutex_;
  int64_t done_ ABSL_GUARDED_BY(mutex_) = 0;
  int64_t told_ ABSL_GUARDED_BY(mutex_) = 0;  // never falls
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<uint64_t> Download(RemoteFile* file, const DownloadOptions& options, Clock* clock,
                                  ResumableFile* into, const Progress& progress) {
  const RemoteFile::Facts& facts = file->facts();
  if (facts.size.value_or(0) > options.max_bytes) return TooLarge(options.max_bytes);
  Downloading downloading(file, options, clock, into, progress);
  uint64_t size = facts.size.value_or(0);
  if (facts.has_ranges && facts.size.has_value()) {
    RETURN_IF_ERROR(downloading.InParts(size));
  } else if (size > 0 || !facts.size.has_value()) {
    ASSIGN_OR_RETURN(size, downloading.InOneStream());
  }
  if (!facts.sha256.empty()) RETURN_IF_ERROR(downloading.CheckSum(size));
  return size;
}

}  // namespace stockpot
