#include "server/worker/dataset/json_label.h"

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/labels.h"

namespace stockpot {

absl::StatusOr<std::string> JsonLabel(const Json& object, absl::string_view field) {
  if (!object.is_object()) return absl::InvalidArgumentError("not a JSON object");
  const auto found = object.find(std::string(field));
  if (found == object.end()) {
    return absl::InvalidArgumentError(absl::StrCat("there is no field '", field, "'"));
  }
  if (found->is_string()) return found->get<std::string>();
  if (found->is_number_unsigned()) return absl::StrCat(found->get<uint64_t>());
  if (found->is_number_integer()) return absl::StrCat(found->get<int64_t>());
  return absl::InvalidArgumentError(
      absl::StrCat("field '", field, "' is neither a whole number nor text"));
}

absl::StatusOr<double> JsonWeight(const Json& object, absl::string_view field) {
  if (object.is_object()) {
    const auto found = object.find(std::string(field));
    if (found != object.end() && found->is_number_float()) return ParseWeight(found->dump());
  }
  ASSIGN_OR_RETURN(const std::string text, JsonLabel(object, field));
  return ParseWeight(text);
}

absl::StatusOr<double> JsonWeight(absl::string_view text, absl::string_view field) {
  ASSIGN_OR_RETURN(const Json object, ParseJson(text));
  return JsonWeight(object, field);
}

absl::StatusOr<std::string> JsonLabel(absl::string_view text, absl::string_view field) {
  ASSIGN_OR_RETURN(const Json object, ParseJson(text));
  return JsonLabel(object, field);
}

}  // namespace stockpot
