#include "server/storage/object_store/object_stores.h"

#include <utility>

#include "absl/time/clock.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/storage/object_store/arrow_errors.h"
#include "server/storage/object_store/arrow_store.h"
#include "server/storage/object_store/file_systems.h"
#include "server/storage/object_store_access.h"

namespace stockpot {
namespace {

constexpr absl::Duration kPatienceAtTheEnd = absl::Seconds(2);

struct StoreKind {
  const char* scheme;
  absl::StatusOr<ArrowFileSystem> (*open)(const RemoteAccess&);
  absl::StatusOr<ArrowFileSystem> (*open_for_writing)(const RemoteAccess&);  // null: the same
  absl::Status (*to_status)(const arrow::Status& status, const std::string& place);
  ArrowStore::Options::Abort abort;
};

constexpr StoreKind kStoreKinds[] = {
    {"s3", OpenS3, OpenS3ForWriting, FromS3, ArrowStore::Options::Abort::kLeavesNothing},
    {"gs", OpenGcs, nullptr, FromGcs, ArrowStore::Options::Abort::kImpossible},
    {"abfs", OpenAzure, nullptr, FromAzure, ArrowStore::Options::Abort::kLeavesEmpty}};

}  // namespace

absl::StatusOr<RemoteFiles::Stores> ObjectStores::Open(const RemoteAccess& access) {
  RETURN_IF_ERROR(CheckObjectStoreAccess(access));
  RemoteFiles::Stores stores;
  for (const StoreKind& kind : kStoreKinds) {
    if (!IsUsed(access, kind.scheme)) continue;
    ArrowFileSystem file_system;
    ArrowStore::Options store_options{options_};
    const absl::Status status = Guard([&]() -> absl::Status {
      ASSIGN_OR_RETURN(file_system, kind.open(access));
      if (kind.open_for_writing == nullptr) return absl::OkStatus();
      ASSIGN_OR_RETURN(store_options.writes_by, kind.open_for_writing(access));
      return absl::OkStatus();
    });
    RETURN_IF_ERROR(Annotate(status, "object store"));
    store_options.to_status = kind.to_status;
    store_options.abort = kind.abort;
    stores[kind.scheme] =
        std::make_unique<ArrowStore>(std::move(file_system), &calls_, store_options);
  }
  return stores;
}

bool ObjectStores::ShutDown() {
  const absl::Time deadline = absl::Now() + kPatienceAtTheEnd;
  while (calls_.left_behind() > 0 && absl::Now() < deadline) absl::SleepFor(absl::Milliseconds(10));
  return calls_.left_behind() == 0 && ShutDownS3();
}

}  // namespace stockpot
