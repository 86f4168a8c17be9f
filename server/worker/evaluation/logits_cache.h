// Logits of measures, or other numbers of each example, kept in a bounded folder for tasks that
// need them again. What is damaged, truncated or gone is as if it had never been kept.
//
// Format of SHA256(key).logits (integers little-endian; a new layout gets a new magic):
//   0     8 bytes   "SPLOGIT1"
//   8     64        the name before the dot
//   72    2 × 8     uint64 examples, classes
//   88    8         uint64 CRC-32C of what follows byte 4096
//   96    64        SHA-256 of bytes 0 to 95, hexadecimal
//   160             zeros up to 4096
//   4096            float32 [examples, classes]
// The file ends there. Size, name and both sums are checked at every open.
//
// Thread safety: thread-safe, also between processes.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_CACHE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_CACHE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/base/fail_point.h"
#include "server/base/mapped_file.h"
#include "server/storage/cache_folder.h"

namespace stockpot {

// Mapped: good also after the file is evicted.
struct KeptLogits {
  std::shared_ptr<const MappedFile> file;
  int64_t classes = 0;
  absl::Span<const float> values;  // row-major [examples, classes]
};

class LogitsCache {
 public:
  // Makes the folder when it is missing. All files together are at most `max_bytes` (0: no bound),
  // but the one that was kept last stays. `fail_points` (may be null) must outlive this. Without
  // `sync` a crash of the machine may lose what is kept: where that is cheaper than to wait.
  static absl::StatusOr<LogitsCache> Create(const std::string& folder, uint64_t max_bytes,
                                            const FailPoints* fail_points, bool sync = true);

  // Errors: NOT_FOUND none that can be believed is kept under `key` for so many examples.
  absl::StatusOr<KeptLogits> Open(const std::string& key, int64_t examples) const;

  // `values` are row-major [examples, classes], and are given back as the file holds them.
  // Errors: RESOURCE_EXHAUSTED (reason DISK_FULL) and others of CacheFolder.
  absl::StatusOr<KeptLogits> Keep(const std::string& key, int64_t classes,
                                  absl::Span<const float> values) const;

 private:
  LogitsCache(CacheFolder folder, uint64_t max_bytes, bool sync)
      : folder_(std::move(folder)), max_bytes_(max_bytes), sync_(sync) {}

  const CacheFolder folder_;
  const uint64_t max_bytes_;
  const bool sync_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LOGITS_CACHE_H_
