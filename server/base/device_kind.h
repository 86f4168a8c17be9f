// Kinds of devices that both the server and its workers know by name. Constants only.
#ifndef STOCKPOT_SERVER_BASE_DEVICE_KIND_H_
#define STOCKPOT_SERVER_BASE_DEVICE_KIND_H_

#include "absl/strings/string_view.h"

namespace stockpot {

// Of a worker that has none: it inspects, lists and copies files, so that those that run models
// need not wait for storage.
inline constexpr absl::string_view kNoDevice = "none";

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_DEVICE_KIND_H_
