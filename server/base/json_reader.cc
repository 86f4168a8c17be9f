#include "server/base/json_reader.h"

#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

constexpr int kMaxNesting = 100;

const Json& EmptyObject() {
  static const Json* const empty = new Json(Json::object());
  return *empty;
}

bool ToInt64(const Json& json, int64_t* value) {
  if (json.is_number_integer()) {
    if (json.is_number_unsigned() && json.get<uint64_t>() > INT64_MAX) return false;
    *value = json.get<int64_t>();
    return true;
  }
  return json.is_string() && absl::SimpleAtoi(json.get_ref<const std::string&>(), value);
}

bool ToDouble(const Json& json, double* value) {
  if (json.is_number()) {
    *value = json.get<double>();
    return true;
  }
  return json.is_string() && absl::SimpleAtod(json.get_ref<const std::string&>(), value);
}

// Digits, perhaps a point, then "s": what ParseDuration() takes and the JSON mapping writes.
bool ToDuration(const Json& json, absl::Duration* value) {
  if (!json.is_string()) return false;
  const std::string& text = json.get_ref<const std::string&>();
  return absl::EndsWith(text, "s") && text.find_first_not_of("0123456789.") == text.size() - 1 &&
         absl::ParseDuration(text, value) && *value < absl::InfiniteDuration();
}

bool ToString(const Json& json, std::string* value) {
  if (!json.is_string()) return false;
  *value = json.get<std::string>();
  return true;
}

}  // namespace

absl::StatusOr<Json> ParseJson(absl::string_view text) {
  bool too_deep = false;
  auto check_depth = [&](int depth, Json::parse_event_t, Json&) {
    too_deep |= depth > kMaxNesting;
    return !too_deep;
  };
  Json json = Json::parse(text.begin(), text.end(), check_depth, /*allow_exceptions=*/false);
  if (too_deep) return absl::InvalidArgumentError("JSON nested too deeply");
  if (json.is_discarded()) return absl::InvalidArgumentError("not valid JSON");
  return json;
}

std::string DumpJson(const Json& json, int indent) {
  return json.dump(indent, ' ', /*ensure_ascii=*/false, Json::error_handler_t::replace);
}

JsonReader::JsonReader(const Json& json, std::string path)
    : JsonReader(json, std::move(path), std::make_shared<std::vector<FieldViolation>>()) {}

JsonReader::JsonReader(const Json& json, std::string path,
                       std::shared_ptr<std::vector<FieldViolation>> shared)
    : json_(&json), path_(std::move(path)), violations_(std::move(shared)) {
  if (!json_->is_object()) {
    violations_->push_back({path_, "must be an object"});
    json_ = &EmptyObject();
  }
}

std::string JsonReader::Path(const std::string& key) const {
  return path_.empty() ? key : absl::StrCat(path_, ".", key);
}

const Json* JsonReader::Find(const std::string& key) const {
  auto found = json_->find(key);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

bool JsonReader::Has(const std::string& key) const { return Find(key) != nullptr; }

void JsonReader::AddViolation(const std::string& key, std::string description) {
  violations_->push_back({Path(key), std::move(description)});
}

void JsonReader::Read(const std::string& key, std::string* value) {
  const Json* json = Find(key);
  if (json != nullptr && !ToString(*json, value)) AddViolation(key, "must be a string");
}

void JsonReader::Read(const std::string& key, int64_t* value) {
  const Json* json = Find(key);
  if (json != nullptr && !ToInt64(*json, value)) AddViolation(key, "must be a 64-bit integer");
}

void JsonReader::Read(const std::string& key, int* value) {
  int64_t wide = *value;
  Read(key, &wide);
  if (wide < INT32_MIN || wide > INT32_MAX) {
    AddViolation(key, "must be a 32-bit integer");
  } else {
    *value = static_cast<int>(wide);
  }
}

void JsonReader::Read(const std::string& key, uint64_t* value) {
  const Json* json = Find(key);
  if (json == nullptr) return;
  if (json->is_number_unsigned()) {
    *value = json->get<uint64_t>();
  } else if (!json->is_string() || !absl::SimpleAtoi(json->get<std::string>(), value)) {
    AddViolation(key, "must be an unsigned 64-bit integer");
  }
}

void JsonReader::Read(const std::string& key, double* value) {
  const Json* json = Find(key);
  if (json != nullptr && !ToDouble(*json, value)) AddViolation(key, "must be a number");
}

void JsonReader::Read(const std::string& key, absl::Duration* value) {
  const Json* json = Find(key);
  absl::Duration read;
  if (json == nullptr) return;
  if (ToDuration(*json, &read)) {
    *value = read;
  } else {
    AddViolation(key, "must be a time such as \"90s\"");
  }
}

void JsonReader::Read(const std::string& key, bool* value) {
  const Json* json = Find(key);
  if (json == nullptr) return;
  if (json->is_boolean()) {
    *value = json->get<bool>();
  } else {
    AddViolation(key, "must be true or false");
  }
}

template <typename Value, typename Convert>
void JsonReader::ReadList(const std::string& key, std::vector<Value>* values, Convert convert,
                          const char* expected) {
  const Json* json = Find(key);
  if (json == nullptr) return;
  values->clear();
  if (!json->is_array()) return AddViolation(key, "must be a list");
  for (const Json& item : *json) {
    Value value{};
    if (!convert(item, &value)) {
      return AddViolation(absl::StrCat(key, "[", values->size(), "]"), expected);
    }
    values->push_back(std::move(value));
  }
}

template <typename Value, typename Convert>
void JsonReader::ReadMap(const std::string& key, std::map<std::string, Value>* values,
                         Convert convert, const char* expected) {
  const Json* json = Find(key);
  if (json == nullptr) return;
  if (!json->is_object()) return AddViolation(key, "must be an object");
  for (const auto& [name, value] : json->items()) {
    if (!convert(value, &(*values)[name])) AddViolation(absl::StrCat(key, ".", name), expected);
  }
}

void JsonReader::Read(const std::string& key, std::map<std::string, std::string>* values) {
  ReadMap(key, values, ToString, "must be text");
}

void JsonReader::Read(const std::string& key, std::map<std::string, double>* values) {
  ReadMap(key, values, ToDouble, "must be a number");
}

void JsonReader::Read(const std::string& key, std::vector<std::string>* values) {
  ReadList(key, values, ToString, "must be a string");
}

void JsonReader::Read(const std::string& key, std::vector<int64_t>* values) {
  ReadList(key, values, ToInt64, "must be a 64-bit integer");
}

void JsonReader::Read(const std::string& key, std::vector<double>* values) {
  ReadList(key, values, ToDouble, "must be a number");
}

void JsonReader::Read(const std::string& key, std::vector<float>* values) {
  std::vector<double> wide;
  ReadList(key, &wide, ToDouble, "must be a number");
  if (Has(key)) values->assign(wide.begin(), wide.end());
}

JsonReader JsonReader::Object(const std::string& key) {
  const Json* json = Find(key);
  return JsonReader(json == nullptr ? EmptyObject() : *json, Path(key), violations_);
}

std::vector<JsonReader> JsonReader::List(const std::string& key) {
  std::vector<JsonReader> readers;
  const Json* json = Find(key);
  if (json == nullptr) return readers;
  if (!json->is_array()) {
    AddViolation(key, "must be a list");
    return readers;
  }
  for (const Json& item : *json) {
    readers.push_back(
        JsonReader(item, absl::StrCat(Path(key), "[", readers.size(), "]"), violations_));
  }
  return readers;
}

absl::Status JsonReader::status() const {
  if (violations_->empty()) return absl::OkStatus();
  const FieldViolation& first = violations_->front();
  std::string message = absl::StrCat(first.field, ": ", first.description);
  if (violations_->size() > 1)
    absl::StrAppend(&message, " (and ", violations_->size() - 1, " more)");
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  facts.violations = *violations_;
  return WithFacts(absl::InvalidArgumentError(message), facts);
}

}  // namespace stockpot
