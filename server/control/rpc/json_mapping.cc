#include "server/control/rpc/json_mapping.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

namespace stockpot {

absl::StatusOr<std::string> MessageToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  std::string json;
  const auto status = google::protobuf::util::MessageToJsonString(message, &json, options);
  if (!status.ok()) return absl::InternalError("a message has no JSON form");
  return json;
}

absl::Status JsonToMessage(const std::string& json, google::protobuf::Message* message) {
  google::protobuf::util::JsonParseOptions options;
  options.ignore_unknown_fields = true;
  const auto status = google::protobuf::util::JsonStringToMessage(json, message, options);
  if (status.ok()) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("stored JSON is no ", message->GetTypeName(), ": ",
                                          std::string(status.message()).substr(0, 200)));
}

}  // namespace stockpot
