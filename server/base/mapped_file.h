// A whole file mapped read-only: how checkpoints and cached data sets are read without copies.
// The mapping stays valid when the file is renamed or removed. A file that is truncated meanwhile
// by somebody else raises SIGBUS in the reader: hostile and fragile reading happens in workers
// only. Thread safety: immutable.
#ifndef STOCKPOT_SERVER_BASE_MAPPED_FILE_H_
#define STOCKPOT_SERVER_BASE_MAPPED_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

class MappedFile {
 public:
  // Errors: NOT_FOUND, PERMISSION_DENIED, INVALID_ARGUMENT (not a regular file), INTERNAL; messages
  // do not repeat the path, the caller annotates.
  static absl::StatusOr<std::shared_ptr<const MappedFile>> Open(const std::string& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  absl::string_view bytes() const { return {static_cast<const char*>(data_), size_}; }

  // Tells the kernel that all of it is about to be read in order.
  void WillReadSequentially() const;

  // Copies a part of bytes() to `out` by a plain read, which maps nothing: for what is read once in
  // pieces that stay in a cache. DATA_LOSS when the file ended early; else as ErrnoStatus.
  absl::Status Copy(absl::string_view part, char* out) const;

  // Takes the pages of a part of bytes(), and those around them, out of this process's memory (not
  // out of the system's cache): who reads them again only waits for a fault.
  void ForgetPages(absl::string_view part) const;

  // Reading a byte maps so much before and after it at the most: since Linux 6.18 a whole piece of
  // the system's cache, which has up to 2 MiB.
  static constexpr size_t kMappedAroundBytes = 2 << 20;

 private:
  MappedFile(int fd, void* data, size_t size) : fd_(fd), data_(data), size_(size) {}
  const int fd_;
  void* const data_;  // null for an empty file
  const size_t size_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_MAPPED_FILE_H_
