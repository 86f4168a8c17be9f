// Content digests that are kept, because each costs a full read of the content.
//
// NAME.digest in the cache: the digest, a space, and SHA-256 of key and digest, all in hexadecimal;
// NAME is the key. Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_DIGEST_CACHE_H_
#define STOCKPOT_SERVER_WORKER_DATASET_DIGEST_CACHE_H_

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "server/storage/cache_folder.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

// The digest kept under `key`, a digest of all that the content depends on; else what `make` gives,
// which is kept then. One process at a time makes it. Errors: of `make` and of the cache.
absl::StatusOr<std::string> OpenOrMakeDigest(
    const CacheFolder& cache, const std::string& key, const DataSetLimits& limits,
    const std::function<absl::StatusOr<std::string>()>& make);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_DIGEST_CACHE_H_
