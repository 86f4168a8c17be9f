#include "client/cli/json_lines.h"

#include <google/protobuf/util/json_util.h>

#include "absl/strings/str_cat.h"

namespace stockpot::cli {

std::string ToJson(const google::protobuf::Message& message) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  std::string text;
  const auto status = google::protobuf::util::MessageToJsonString(message, &text, options);
  // Happens only for a detail of an error whose type this program does not know.
  return status.ok() ? text : R"({"problem":"holds a message of an unknown type"})";
}

std::string ToJson(absl::string_view key, const google::protobuf::Message& message) {
  return absl::StrCat("{\"", key, "\":", ToJson(message), "}");
}

}  // namespace stockpot::cli
