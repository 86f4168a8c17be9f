// Files of an object store, read and written by one of Arrow's file systems. Arrow reads parts
// without saying which version they are of, so every read is followed by another look: a part
// counts only if the object was still the one that was looked at once its bytes were there.
//
// The version is the entity tag, the time of the last change and, where the store keeps versions,
// the object's version. Nothing is tried again here (download.h does), and nothing takes for ever.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_STORE_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_STORE_H_

#include <arrow/filesystem/filesystem.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "server/storage/object_store/bounded_calls.h"
#include "server/storage/object_store/object_store_options.h"
#include "server/storage/remote_store.h"

namespace stockpot {

class ArrowStore final : public RemoteStore {
 public:
  struct Options : ObjectStoreOptions {
    // What an error of the file system means; `place` is what to call where it happened.
    absl::Status (*to_status)(const arrow::Status& status, const std::string& place) = nullptr;
    // What writes; null: what reads.
    std::shared_ptr<arrow::fs::FileSystem> writes_by = nullptr;
    // What becomes of a file whose writing is given up.
    enum class Abort {
      kLeavesNothing,  // what was there before stays
      kLeavesEmpty,    // what was there before went when it was opened
      kImpossible,     // whatever ends the stream makes a file of what it has: it must never end
    } abort = Abort::kLeavesNothing;
  };

  // Paths are BUCKET/KEY. `calls` must outlive this and the files that it gives.
  ArrowStore(std::shared_ptr<arrow::fs::FileSystem> file_system, const BoundedCalls* calls,
             Options options)
      : file_system_(std::move(file_system)),
        writes_by_(options.writes_by != nullptr ? options.writes_by : file_system_),
        calls_(calls),
        options_(std::move(options)) {}

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                   const KeepGoing& keep_going) override;
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going) override;
  // In parts of Options::write_bytes, one after the other; a whole file appears at the end.
  absl::Status Write(const RemoteUri& uri, const std::shared_ptr<const MappedFile>& file,
                     const Progress& progress) override;
  absl::Status Remove(const RemoteUri& uri, const KeepGoing& keep_going) override;
  absl::Status TryWriting(const RemoteUri& folder, const KeepGoing& keep_going) override;

 private:
  absl::Status Run(const RemoteUri& uri, absl::Duration timeout, const KeepGoing& keep_going,
                   std::function<arrow::Status()> call) const;

  const std::shared_ptr<arrow::fs::FileSystem> file_system_, writes_by_;
  const BoundedCalls* const calls_;
  const Options options_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_STORE_H_
