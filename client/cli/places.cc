#include "client/cli/places.h"

#include <vector>

#include "absl/strings/match.h"

namespace stockpot::cli {
namespace {

using google::protobuf::FieldDescriptor;

bool IsPlace(const FieldDescriptor& field) {
  return field.type() == FieldDescriptor::TYPE_STRING && !field.is_repeated() &&
         absl::StrContains(field.name(), "uri");
}

}  // namespace

void ForEachPlace(google::protobuf::Message& message,
                  const std::function<std::string(const std::string&)>& change) {
  const google::protobuf::Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> given;
  reflection.ListFields(message, &given);
  for (const FieldDescriptor* field : given) {
    if (IsPlace(*field)) {
      reflection.SetString(&message, field, change(reflection.GetString(message, field)));
    } else if (field->message_type() == nullptr || field->is_map()) {
      continue;
    } else if (field->is_repeated()) {
      for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
        ForEachPlace(*reflection.MutableRepeatedMessage(&message, field, i), change);
      }
    } else {
      ForEachPlace(*reflection.MutableMessage(&message, field), change);
    }
  }
}

}  // namespace stockpot::cli
