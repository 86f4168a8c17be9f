#include "server/storage/object_store/arrow_calls.h"

#include <exception>
#include <new>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/storage/object_store/arrow_errors.h"

namespace stockpot {

std::string ObjectPath(const RemoteUri& uri) {
  return uri.path.empty() ? uri.authority : absl::StrCat(uri.authority, "/", DecodedPath(uri));
}

std::string ObjectPlaceName(const RemoteUri& uri) {
  return absl::StrCat(uri.scheme, "://", uri.authority);
}

absl::Duration TimeFor(uint64_t bytes, const ArrowStore::Options& options) {
  return options.read_timeout + absl::Seconds(static_cast<double>(bytes) /
                                              static_cast<double>(options.least_bytes_per_second));
}

absl::Status CallArrow(const BoundedCalls& calls, const ArrowStore::Options& options,
                       const RemoteUri& uri, absl::Duration timeout, const KeepGoing& keep_going,
                       std::function<arrow::Status()> call) {
  return calls.Run(timeout, keep_going,
                   [call = std::move(call), to_status = options.to_status,
                    place = ObjectPlaceName(uri)]() -> absl::Status {
                     try {
                       return to_status(call(), place);
                     } catch (const std::bad_alloc&) {
                       throw;  // means the same everywhere, and is caught by who called
                     } catch (const std::exception& error) {
                       return FromException(error, place);
                     }
                   });
}

}  // namespace stockpot
