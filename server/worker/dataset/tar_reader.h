// The members of a tar file, as ustar, pax and GNU tar write them, and believed only where all of
// it agrees: every header has its sum, every member ends within the file, the end is marked and
// nothing but zeros follows it. Nothing is extracted: names are only labels of byte ranges.
//
// Source: POSIX.1-2017 pax, "ustar Interchange Format"; the GNU tar manual, "Basic Tar Format" ('L'
// long names, base-256 sizes). Refused by name: sparse files, links, devices, files without the
// ustar mark, compressed files. Folders are passed over.
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TAR_READER_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TAR_READER_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace stockpot {

struct TarMember {
  std::string name;
  uint64_t offset = 0;  // of its bytes in the file
  uint64_t size = 0;
};

struct TarLimits {
  uint64_t max_members = 100'000'000;
  uint64_t max_header_bytes = 64 << 10;  // of a pax header or a long name
};

// Regular files, in their order.
// Errors: INVALID_ARGUMENT, naming the offset and the member; DATA_LOSS when the file ends before
// its end is marked.
absl::StatusOr<std::vector<TarMember>> ListTar(absl::string_view bytes, const TarLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TAR_READER_H_
