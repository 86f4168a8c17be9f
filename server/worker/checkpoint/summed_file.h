// A new file that is summed as it is written: what a soup's files are made of.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_

#include <cstdint>
#include <string>

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
  // Creates `path`, which must not exist; with an empty path nothing is kept, only summed.
  // Errors: as ErrnoStatus.
  static absl::StatusOr<SummedFile> Create(const std::string& path);
  ~SummedFile();
  SummedFile(SummedFile&& other) noexcept;
  SummedFile& operator=(SummedFile&&) = delete;

  // Errors: as ErrnoStatus, also of every later call: what is in the file is then unknown.
  absl::Status Write(absl::string_view bytes);

  // Syncs and closes. FAILED_PRECONDITION when it is finished already.
  absl::StatusOr<WrittenFile> Finish();

 private:
  SummedFile(int fd, bool kept) : fd_(fd), kept_(kept) {}
  absl::Status Fail(int error, absl::string_view what);

  int fd_;  // -1 where nothing is kept
  const bool kept_;
  bool finished_ = false;
  absl::Status failure_;
  Sha256 digest_;
  WrittenFile written_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SUMMED_FILE_H_
