// A zip archive as torch.save writes it, read in place and believed only where all of it agrees:
// the central directory ends where the end record begins, every local header repeats its central
// one, no two entries share a name or a byte. zip64 is read; encryption, several disks and archive
// comments are refused; compressed entries are only read by Inflate().
//
// Source: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.
// Ownership: views into the bytes given to Open, which must outlive it.
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_ZIP_ARCHIVE_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_ZIP_ARCHIVE_H_

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct ZipEntry {
  absl::string_view name;
  absl::string_view data;
  uint32_t crc32 = 0;  // of the uncompressed data
  bool compressed = false;
  bool deflated = false;  // how it is compressed, the one way that is read
  uint64_t size = 0;      // uncompressed, as the archive says
};

class ZipArchive {
 public:
  // Errors name the entry. INVALID_ARGUMENT; DATA_LOSS when there is no end record: the file was
  // cut short. Sums are not checked yet.
  static absl::StatusOr<ZipArchive> Open(absl::string_view bytes, uint64_t max_entries);

  // In the order of the central directory.
  const std::vector<ZipEntry>& entries() const { return entries_; }
  // Null when there is none.
  const ZipEntry* Find(absl::string_view name) const;

 private:
  std::vector<ZipEntry> entries_;
  absl::flat_hash_map<absl::string_view, size_t> by_name_;
};

// The uncompressed bytes, checked, of an entry that is stored or deflated. INVALID_ARGUMENT when it
// is neither, has more than `max_bytes`, or is not what its size and sum say.
absl::StatusOr<std::string> Inflate(const ZipEntry& entry, uint64_t max_bytes);

// INVALID_ARGUMENT when the entry is compressed.
absl::Status CheckStored(const ZipEntry& entry);

// INVALID_ARGUMENT when the entry's bytes do not have its CRC32. Reads all of them, in pieces of at
// most kSumCheckPieceBytes; `done_reading` is told of each piece.
constexpr size_t kSumCheckPieceBytes = 4 << 20;
absl::Status CheckSum(
    const ZipEntry& entry,
    const std::function<void(absl::string_view)>& done_reading = [](absl::string_view) {});

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_ZIP_ARCHIVE_H_
