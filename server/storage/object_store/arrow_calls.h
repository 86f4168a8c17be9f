// Calls of Arrow's file systems, bounded in time and with their errors translated: what reading
// (arrow_store.cc) and writing (arrow_upload.cc) have in common. Internal to object_store/.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_CALLS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_CALLS_H_

#include <arrow/status.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/storage/object_store/arrow_store.h"

namespace stockpot {

// BUCKET/KEY, as Arrow names objects and folders.
std::string ObjectPath(const RemoteUri& uri);
// What errors call where they happened: the bucket.
std::string ObjectPlaceName(const RemoteUri& uri);

// How long so many bytes may take, either way.
absl::Duration TimeFor(uint64_t bytes, const ArrowStore::Options& options);

// What `call` gives, as Options::to_status means it. `call` owns all that it touches: as
// BoundedCalls::Run.
absl::Status CallArrow(const BoundedCalls& calls, const ArrowStore::Options& options,
                       const RemoteUri& uri, absl::Duration timeout, const KeepGoing& keep_going,
                       std::function<arrow::Status()> call);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_CALLS_H_
