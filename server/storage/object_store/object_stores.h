// Object stores by Arrow's file systems: s3://, gs:// and abfs://. Servers, accounts and
// credentials are the operator's configuration and nothing of a client's URI is ever given to Arrow
// but bucket and key (DESIGN.md section 6).
//
//   ObjectStores objects;
//   ASSIGN_OR_RETURN(RemoteFiles::Stores stores, objects.Open(access));
//   … OpenRemoteFiles(access, options, clock, fail_points, std::move(stores)) …
//   if (!objects.ShutDown()) _exit(…);
//
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORES_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORES_H_

#include "absl/status/statusor.h"
#include "server/storage/object_store/bounded_calls.h"
#include "server/storage/object_store/object_store_options.h"
#include "server/storage/remote_files.h"

namespace stockpot {

class ObjectStores {
 public:
  // `options` are of every store.
  explicit ObjectStores(ObjectStoreOptions options = {}) : options_(options) {}

  // Those below which `access` allows anything to be read or written: others cost nothing. This
  // must outlive them. The first S3 store of a process sets the AWS library up. Errors: as
  // CheckObjectStoreAccess; INTERNAL: the library cannot be set up.
  absl::StatusOr<RemoteFiles::Stores> Open(const RemoteAccess& access);

  // Undoes the set-up, which the AWS library demands before a process exits; no store of this
  // process can be used or made after it. False: calls that were given up are still on their way,
  // and the process must end without running destructors of static objects (_exit).
  bool ShutDown();

 private:
  const ObjectStoreOptions options_;
  const BoundedCalls calls_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_OBJECT_STORES_H_
