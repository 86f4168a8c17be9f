// A new file that is summed as it is written: what a soup's files are made of.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_

#include <cstdint>
#include <cstdlib>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/digest.h"

namespace stockpot {

struct WrittenFile {
  uint64_t byte_count = 0;
  std::string sha256;  // of the whole file
};

class SummedFile {
 public:
  // kBypassed writes straight to the disk, where the file system does that: it spares the processor
  // a copy, and the cache for what is read next.
  enum class SystemCache { kUsed, kBypassed };

  // Creates `path`, which must not exist; with an empty path nothing is kept, only summed.
  // Errors: as ErrnoStatus.
  static absl::StatusOr<SummedFile> Create(const std::string& path,
                                           SystemCache cache = SystemCache::kUsed);
  ~SummedFile();
  SummedFile(SummedFile&& other) noexcept;
  SummedFile& operator=(SummedFile&&) = delete;

  // Errors: as ErrnoStatus, also of every later call: what is in the file is then unknown.
  absl::Status Write(absl::string_view bytes);

  // The halves of Write(), which two threads may call at once: each is to get all bytes in order.
  void Sum(absl::string_view bytes) { digest_.Update(bytes); }
  absl::Status Store(absl::string_view bytes);

  // Syncs and closes. FAILED_PRECONDITION when it is finished already.
  absl::StatusOr<WrittenFile> Finish();

 private:
  struct Free {
    void operator()(char* buffer) const { std::free(buffer); }
  };
  using Buffer = std::unique_ptr<char, Free>;

  SummedFile(int fd, bool kept, Buffer gathered)
      : fd_(fd), kept_(kept), gathered_(std::move(gathered)) {}
  absl::Status Fail(int error, absl::string_view what);
  absl::Status Put(absl::string_view bytes);
  absl::Status Gather(absl::string_view bytes);
  absl::Status PutGathered();
  void BeginToSync();

  int fd_;  // -1 where nothing is kept
  const bool kept_;
  bool finished_ = false;
  absl::Status failure_;
  Sha256 digest_;
  Buffer gathered_;  // what the disk takes whole; null where the system's cache is used
  size_t gathered_bytes_ = 0;
  uint64_t syncing_ = 0;  // bytes that are on their way to the disk
  WrittenFile written_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_
