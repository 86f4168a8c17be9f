#include "client/cli/field_check.h"

#include <map>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"

namespace stockpot::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::OneofDescriptor;
using nlohmann::json;

const FieldDescriptor* FindField(const Descriptor* type, const std::string& key) {
  for (int i = 0; i < type->field_count(); ++i) {
    if (type->field(i)->name() == key || type->field(i)->json_name() == key) return type->field(i);
  }
  return nullptr;
}

std::string KnownFields(const Descriptor* type) {
  std::vector<std::string> names;
  for (int i = 0; i < type->field_count(); ++i) names.push_back(type->field(i)->name());
  return absl::StrJoin(names, ", ");
}

std::string KnownValues(const google::protobuf::EnumDescriptor* type) {
  std::vector<std::string> names;
  // The first is "unspecified", which nobody need write.
  for (int i = 1; i < type->value_count(); ++i) names.push_back(type->value(i)->name());
  return absl::StrJoin(names, ", ");
}

class Checker {
 public:
  explicit Checker(const Document& document) : document_(document) {}

  void CheckMessage(const json& value, const Descriptor* type, const std::string& path) {
    if (!value.is_object()) {
      return Problem(
          path, absl::StrCat("expected an object with ", KnownFields(type), "; got ", Got(value)));
    }
    std::map<const OneofDescriptor*, std::string> chosen;
    for (const auto& [key, child] : value.items()) {
      const std::string child_path = ChildPath(path, key);
      const FieldDescriptor* field = FindField(type, key);
      if (field == nullptr) {
        Problem(child_path, absl::StrCat("unknown field; known are ", KnownFields(type)));
        continue;
      }
      CheckChoice(child, field, child_path, chosen);
      if (!child.is_null()) CheckField(child, field, child_path);
    }
  }

  std::vector<FieldProblem> TakeProblems() { return std::move(problems_); }

 private:
  void CheckChoice(const json& value, const FieldDescriptor* field, const std::string& path,
                   std::map<const OneofDescriptor*, std::string>& chosen) {
    const OneofDescriptor* choice = field->real_containing_oneof();
    if (choice == nullptr) return;
    // To protobuf null means unset: `uniform:` in YAML would silently be the default recipe.
    if (value.is_null() && field->message_type() != nullptr) {
      Problem(path, absl::StrCat("is empty; write ", field->name(), ": {}"));
    }
    const auto [other, first] = chosen.emplace(choice, field->name());
    if (!first) Problem(path, absl::StrCat("excludes '", other->second, "': give one of them"));
  }

  void CheckField(const json& value, const FieldDescriptor* field, const std::string& path) {
    if (field->is_map()) {
      if (!value.is_object()) return Problem(path, "expected names with values; got " + Got(value));
      for (const auto& [key, child] : value.items()) {
        CheckValue(child, field->message_type()->map_value(), ChildPath(path, key));
      }
    } else if (field->is_repeated()) {
      if (!value.is_array()) return Problem(path, "expected a list; got " + Got(value));
      for (size_t i = 0; i < value.size(); ++i) CheckValue(value[i], field, ChildPath(path, i));
    } else {
      CheckValue(value, field, path);
    }
  }

  void CheckValue(const json& value, const FieldDescriptor* field, const std::string& path) {
    switch (field->cpp_type()) {
      case FieldDescriptor::CPPTYPE_MESSAGE:
        if (field->message_type()->full_name() == "google.protobuf.Duration") {
          return CheckDuration(value, path);
        }
        return CheckMessage(value, field->message_type(), path);
      case FieldDescriptor::CPPTYPE_STRING:
        if (!value.is_string()) {
          Problem(path, absl::StrCat("expected a string; got ", Got(value), ": put it in quotes"));
        }
        return;
      case FieldDescriptor::CPPTYPE_BOOL:
        if (!value.is_boolean()) Problem(path, "expected true or false; got " + Got(value));
        return;
      case FieldDescriptor::CPPTYPE_ENUM:
        return CheckEnum(value, field, path);
      case FieldDescriptor::CPPTYPE_FLOAT:
      case FieldDescriptor::CPPTYPE_DOUBLE:
        if (!value.is_number()) Problem(path, "expected a number; got " + Got(value));
        return;
      default:
        if (!value.is_number_integer() && !value.is_string()) {
          Problem(path, "expected a whole number; got " + Got(value));
        }
    }
  }

  // A message to C++, but text in the JSON mapping.
  void CheckDuration(const json& value, const std::string& path) {
    double seconds = 0;
    const std::string text = value.is_string() ? value.get<std::string>() : "";
    if (!absl::EndsWith(text, "s") || !absl::SimpleAtod(absl::StripSuffix(text, "s"), &seconds)) {
      Problem(path, "expected seconds such as 90s; got " + Got(value));
    }
  }

  void CheckEnum(const json& value, const FieldDescriptor* field, const std::string& path) {
    if (value.is_number_integer()) return;
    if (value.is_string() &&
        field->enum_type()->FindValueByName(value.get_ref<const std::string&>()) != nullptr) {
      return;
    }
    Problem(path, absl::StrCat("expected one of ", KnownValues(field->enum_type()), "; got ",
                               Got(value)));
  }

  static std::string Got(const json& value) {
    if (value.is_null()) return "nothing";
    if (value.is_object()) return "an object";
    if (value.is_array()) return "a list";
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
  }

  void Problem(const std::string& path, const std::string& description) {
    std::string field = path.empty() ? "the file" : path;
    const auto place = document_.places.find(path);
    if (place != document_.places.end()) {
      absl::StrAppend(&field, " (line ", place->second.line, ", column ", place->second.column,
                      ")");
    }
    problems_.push_back({std::move(field), description});
  }

  const Document& document_;
  std::vector<FieldProblem> problems_;
};

}  // namespace

std::vector<FieldProblem> CheckFields(const Document& document, const Descriptor* type) {
  Checker checker(document);
  checker.CheckMessage(document.root, type, "");
  return checker.TakeProblems();
}

}  // namespace stockpot::cli
