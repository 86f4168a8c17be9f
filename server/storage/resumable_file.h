// A file of the cache that arrives in parts and may be left and gone on with, by this process or,
// after a kill -9, by another. One process has it at a time (flock), and who waits for it finds it
// finished under its name.
//
//   bytes 0 … size          the content; parts of `part_bytes` in any order
//   then                    "STPOTPT1", part_bytes as uint64
//   then, for each part     uint64: 0, or 0x50415254 in the upper half and CRC-32C of the part in
//                           the lower one: the part was written
//
// Numbers are little-endian. Nothing is synced until the end: a part counts only if its bytes have
// the sum, so that also after a crash of the machine no part is believed that is not there.
// Thread safety: different threads may work on different parts; all else is thread-compatible.
#ifndef STOCKPOT_SERVER_STORAGE_RESUMABLE_FILE_H_
#define STOCKPOT_SERVER_STORAGE_RESUMABLE_FILE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/fail_point.h"

namespace stockpot {

class ResumableFile {
 public:
  // Opens `path`, or creates it; null when another process, or another ResumableFile, has it.
  // `fail_points` may be null. Errors: as ErrnoStatus.
  static absl::StatusOr<std::unique_ptr<ResumableFile>> TryOpen(const std::string& path,
                                                                const std::string& final_path,
                                                                const FailPoints* fail_points);
  // Closes it. It stays for the next one, but after Commit() and Remove().
  ~ResumableFile();
  ResumableFile(const ResumableFile&) = delete;
  ResumableFile& operator=(const ResumableFile&) = delete;

  // Reserves room for `size` bytes in parts. What is there of the same layout is kept.
  // RESOURCE_EXHAUSTED (DISK_FULL) when there is no room.
  absl::Status LayOut(uint64_t size, uint64_t part_bytes);
  // For content whose size nobody knows, or that comes in one stream: empty, without parts.
  absl::Status StartOver();

  uint64_t part_count() const { return part_count_; }
  uint64_t BeginOf(uint64_t part) const { return part * part_bytes_; }
  uint64_t EndOf(uint64_t part) const;

  // Whether a part was written: reads it.
  absl::StatusOr<bool> HasPart(uint64_t part) const;
  absl::Status WriteAt(absl::string_view bytes, uint64_t offset) const;
  // Says that a part was written, and the sum of its bytes.
  absl::Status NotePart(uint64_t part, uint32_t crc32c) const;
  // Fills `out`, or DATA_LOSS.
  absl::Status ReadAt(uint64_t offset, size_t size, char* out) const;

  // Syncs the first `size` bytes as the whole content, and gives it its name.
  absl::Status Commit(uint64_t size);
  void Remove();

 private:
  ResumableFile(int fd, std::string path, std::string final_path, const FailPoints* fail_points)
      : fd_(fd),
        path_(std::move(path)),
        final_path_(std::move(final_path)),
        fail_points_(fail_points) {}

  const int fd_;
  const std::string path_, final_path_;
  const FailPoints* const fail_points_;
  uint64_t size_ = 0, part_bytes_ = 0, part_count_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_RESUMABLE_FILE_H_
