// A store whose requests, errors and bytes are counted. One request is a look, a listing, a read of
// a part, a write or a removal: a try, as often as it is made. That there is no such file is an
// answer and no error; nor is what the caller ended by itself.
//
// Thread safety: thread-safe, as the store is.
#ifndef STOCKPOT_SERVER_STORAGE_METERED_STORE_H_
#define STOCKPOT_SERVER_STORAGE_METERED_STORE_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/base/work_counters.h"
#include "server/storage/remote_files.h"
#include "server/storage/remote_store.h"

namespace stockpot {

class MeteredStore final : public RemoteStore {
 public:
  // Counts under `scheme`. `counters` must outlive the store and its files.
  MeteredStore(std::string scheme, std::unique_ptr<RemoteStore> store, WorkCounters* counters);

  absl::StatusOr<std::unique_ptr<RemoteFile>> Look(const RemoteUri& uri, Purpose purpose,
                                                   const KeepGoing& keep_going) override;
  absl::StatusOr<std::vector<ListedFile>> List(const RemoteUri& folder, size_t most,
                                               const KeepGoing& keep_going) override;
  absl::Status Write(const RemoteUri& uri, const std::shared_ptr<const MappedFile>& file,
                     const Progress& progress) override;
  absl::Status Remove(const RemoteUri& uri, const KeepGoing& keep_going) override;
  absl::Status TryWriting(const RemoteUri& folder, const KeepGoing& keep_going) override;

 private:
  const std::string scheme_;
  const std::unique_ptr<RemoteStore> store_;
  WorkCounters* const counters_;
};

// Each of them, under its scheme.
RemoteFiles::Stores Metered(RemoteFiles::Stores stores, WorkCounters* counters);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_METERED_STORE_H_
