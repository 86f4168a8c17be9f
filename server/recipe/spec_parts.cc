#include "server/recipe/spec_parts.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace stockpot {
namespace {

constexpr size_t kMaxUriBytes = 4096;

}  // namespace

int ReadChoice(JsonReader& reader, const std::string& key, const std::vector<std::string>& names) {
  std::string value;
  reader.Read(key, &value);
  if (value.empty() || absl::EndsWith(value, "_UNSPECIFIED")) return 0;
  const auto found = std::find(names.begin(), names.end(), value);
  if (found != names.end()) return static_cast<int>(found - names.begin());
  reader.AddViolation(key, absl::StrCat("must be one of ", absl::StrJoin(names, ", ")));
  return 0;
}

std::string ReadEnum(JsonReader& reader, const std::string& key,
                     const std::vector<std::string>& names) {
  return names[static_cast<size_t>(ReadChoice(reader, key, names))];
}

void ReadCount(JsonReader& reader, const std::string& key, int most, int* count) {
  int value = 0;
  reader.Read(key, &value);
  if (value < 0 || value > most) {
    reader.AddViolation(key, absl::StrCat("must be between 0 and ", most));
  } else if (value > 0) {
    *count = value;
  }
}

void CheckUri(JsonReader& reader, const std::string& key, const std::string& uri) {
  if (uri.size() > kMaxUriBytes || uri.find('\0') != std::string::npos) {
    reader.AddViolation(key, absl::StrCat("must be at most ", kMaxUriBytes, " bytes without NUL"));
  }
}

void ReadUri(JsonReader& reader, const std::string& key, std::string* uri) {
  reader.Read(key, uri);
  if (uri->empty()) reader.AddViolation(key, "is required");
  CheckUri(reader, key, *uri);
}

void ReadNaming(JsonReader& reader, const std::string& key_field, const std::string& renames_field,
                std::string* state_dict_key, std::vector<NameRule>* renames) {
  constexpr size_t kMaxRules = 1000;
  constexpr size_t kMaxTextBytes = 1024;
  reader.Read(key_field, state_dict_key);
  if (state_dict_key->size() > kMaxTextBytes) reader.AddViolation(key_field, "is too long");
  for (JsonReader& item : reader.List(renames_field)) {
    if (renames->size() == kMaxRules) {
      reader.AddViolation(renames_field, absl::StrCat("at most ", kMaxRules));
      break;
    }
    NameRule& rule = renames->emplace_back();
    item.Read("pattern", &rule.pattern);
    item.Read("replacement", &rule.replacement);
    if (std::max(rule.pattern.size(), rule.replacement.size()) > kMaxTextBytes) {
      item.AddViolation("pattern", "is too long");
    }
    const absl::Status checked = CheckNameRule(rule);
    if (!checked.ok()) item.AddViolation("pattern", std::string(checked.message()));
  }
}

}  // namespace stockpot
