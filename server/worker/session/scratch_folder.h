// A folder for files that are not whole yet, beside the place where they will have their names.
//
// Folders are named `.soup-part-XXXXXX`. Making one removes all others of the same parent: only the
// latest attempt of a task counts, and what an earlier one, killed or held up, still wants to
// rename is then gone.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_SCRATCH_FOLDER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_SCRATCH_FOLDER_H_

#include <string>
#include <utility>

#include "absl/status/statusor.h"

namespace stockpot {

class ScratchFolder {
 public:
  // `parent` must exist. Errors: as ErrnoStatus.
  static absl::StatusOr<ScratchFolder> Create(const std::string& parent);
  // Removes it with all that is in it.
  ~ScratchFolder();
  ScratchFolder(ScratchFolder&& other) noexcept : path_(std::exchange(other.path_, "")) {}
  ScratchFolder& operator=(ScratchFolder&&) = delete;

  std::string operator/(const std::string& file) const { return path_ + "/" + file; }

 private:
  explicit ScratchFolder(std::string path) : path_(std::move(path)) {}

  std::string path_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_SCRATCH_FOLDER_H_
