// Arrow's file systems of object stores, of the operator's configuration alone: servers, accounts
// and credentials are never of a client's URI. What the libraries below can do without being asked,
// such as trying again or writing to standard error, is turned off as far as they let us.
//
// Thread safety: the functions are called from one thread, before any other uses the network: some
// libraries take what they must know (certificates, proxies, credentials) from the environment.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_FILE_SYSTEMS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_FILE_SYSTEMS_H_

#include <arrow/filesystem/filesystem.h>

#include <memory>

#include "absl/status/statusor.h"
#include "server/storage/remote_files.h"

namespace stockpot {

using ArrowFileSystem = std::shared_ptr<arrow::fs::FileSystem>;

// Errors: as CheckObjectStoreAccess; INTERNAL: a library cannot be set up.
absl::StatusOr<ArrowFileSystem> OpenS3(const RemoteAccess& access);
// One that tries each request again by itself: what was sent of a file would all be sent anew where
// one part of it fails.
absl::StatusOr<ArrowFileSystem> OpenS3ForWriting(const RemoteAccess& access);
absl::StatusOr<ArrowFileSystem> OpenGcs(const RemoteAccess& access);
absl::StatusOr<ArrowFileSystem> OpenAzure(const RemoteAccess& access);

// Undoes what the first OpenS3 of a process set up. False: it failed.
bool ShutDownS3();

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_FILE_SYSTEMS_H_
