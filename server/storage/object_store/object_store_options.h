// How long an object store may take. Thread safety: plain data.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORE_OPTIONS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORE_OPTIONS_H_

#include <cstdint>

#include "absl/time/time.h"

namespace stockpot {

struct ObjectStoreOptions {
  absl::Duration look_timeout = absl::Minutes(1);
  absl::Duration list_timeout = absl::Minutes(10);
  // A read may take this, and longer for each byte; read_bytes are asked for at once.
  absl::Duration read_timeout = absl::Seconds(30);
  uint64_t least_bytes_per_second = 64 << 10;
  uint64_t read_bytes = 4 << 20;
  // The same of a write. A file has 10,000 parts at most, on S3, and each but the last 5 MiB at
  // least.
  uint64_t write_bytes = 32 << 20;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORE_OPTIONS_H_
