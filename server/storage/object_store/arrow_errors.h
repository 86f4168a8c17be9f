// What the errors of Arrow and of the libraries below it mean here. Of a message only the error's
// name, HTTP status and the like are read: the rest is what a server said, which may hold anything.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_ERRORS_H_
#define STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_ERRORS_H_

#include <arrow/status.h>

#include <exception>
#include <string>

#include "absl/status/status.h"

namespace stockpot {

// `place` begins the message: "bucket 'b'". Errors: as RemoteStore::Look.
absl::Status FromS3(const arrow::Status& status, const std::string& place);
absl::Status FromGcs(const arrow::Status& status, const std::string& place);
absl::Status FromAzure(const arrow::Status& status, const std::string& place);

// Of what Azure's library throws where no server answered, or no credential was to be had: Arrow
// does not catch all of it.
absl::Status FromException(const std::exception& error, const std::string& place);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_OBJECT_STORE_ARROW_ERRORS_H_
