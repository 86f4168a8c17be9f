// Protocol Buffers' JSON mapping with the field names as in the .proto: how specs, events, tasks
// and reports are stored. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_JSON_MAPPING_H_
#define STOCKPOT_SERVER_CONTROL_RPC_JSON_MAPPING_H_

#include <google/protobuf/message.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace stockpot {

absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message);

// Fields that this release does not know are ignored: a newer one may have stored them.
// Errors: INTERNAL, since the JSON is our own.
absl::Status JsonToMessage(const std::string& json, google::protobuf::Message* message);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_JSON_MAPPING_H_
