// Brings one version of a remote file into a file of the cache: parts side by side, each tried
// again where it broke off; in one stream where the server knows no ranges.
//
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_DOWNLOAD_H_
#define STOCKPOT_SERVER_STORAGE_DOWNLOAD_H_

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/base/clock.h"
#include "server/base/progress.h"
#include "server/storage/remote_store.h"
#include "server/storage/resumable_file.h"
#include "server/storage/retry.h"

namespace stockpot {

struct DownloadOptions {
  uint64_t part_bytes = 16 << 20;
  int connections = 4;
  uint64_t max_bytes = 200'000'000'000;  // of one file
  absl::Duration timeout = absl::Hours(24);
  RetryOptions retry;
  Sleep sleep = [](absl::Duration duration) { absl::SleepFor(duration); };
};

// The size of what is in `into` now, complete and as the facts of `file` say, not yet committed.
// `progress` counts bytes and is called from any thread, one at a time. After an error what arrived
// is kept to go on with, unless it is known to be wrong.
// Errors: as RemoteFile::Read once tries are used up; FAILED_PRECONDITION (reason
// SOURCE_TOO_LARGE); DATA_LOSS (SOURCE_DAMAGED): not the sum that the server says; UNAVAILABLE
// (SOURCE_UNAVAILABLE): longer than `timeout`; of writing, such as RESOURCE_EXHAUSTED (DISK_FULL);
// what `progress` gave.
absl::StatusOr<uint64_t> Download(RemoteFile* file, const DownloadOptions& options, Clock* clock,
                                  ResumableFile* into, const Progress& progress);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_DOWNLOAD_H_
