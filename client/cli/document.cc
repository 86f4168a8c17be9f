#include "client/cli/document.h"

#include <yaml-cpp/yaml.h>

#include <cctype>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "client/cli/guard.h"

namespace stockpot::cli {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 32;
constexpr int kMaxNodes = 1'000'000;

// A plain scalar's type by YAML's core schema; what is quoted is a string.
json ScalarValue(const YAML::Node& node) {
  const std::string& text = node.Scalar();
  if (node.Tag() != "?") return text;
  if (text == "true") return true;
  if (text == "false") return false;
  const bool numeric = text.find_first_not_of("+-0123456789.eE") == std::string::npos;
  int64_t integer = 0;
  if (numeric && absl::SimpleAtoi(text, &integer)) return integer;
  double number = 0;
  if (numeric && absl::SimpleAtod(text, &number)) return number;
  return text;
}

class YamlReader {
 public:
  // Throws YAML::Exception, which knows line and column.
  json Read(const YAML::Node& node, const std::string& path, int depth) {
    const YAML::Mark mark = node.Mark();
    if (depth > kMaxDepth) throw YAML::Exception(mark, "nested too deep for a job");
    if (++nodes_ > kMaxNodes) throw YAML::Exception(mark, "too large for a job");
    places_[path] = {mark.line + 1, mark.column + 1};
    if (node.IsScalar()) return ScalarValue(node);
    if (node.IsMap()) return ReadMap(node, path, depth);
    if (!node.IsSequence()) return nullptr;
    json result = json::array();
    for (const YAML::Node& child : node) {
      result.push_back(Read(child, ChildPath(path, result.size()), depth + 1));
    }
    return result;
  }

  std::map<std::string, Document::Place> TakePlaces() { return std::move(places_); }

 private:
  json ReadMap(const YAML::Node& node, const std::string& path, int depth) {
    json result = json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        throw YAML::Exception(entry.first.Mark(), "a key must be a name");
      }
      const std::string& key = entry.first.Scalar();
      if (result.contains(key)) {
        throw YAML::Exception(entry.first.Mark(), absl::StrCat("'", key, "' is given twice"));
      }
      const std::string child = ChildPath(path, key);
      result[key] = Read(entry.second, child, depth + 1);
      // The key's place says more than the value's, and an empty value has none.
      places_[child] = {entry.first.Mark().line + 1, entry.first.Mark().column + 1};
    }
    return result;
  }

  std::map<std::string, Document::Place> places_;
  int nodes_ = 0;
};

// Remembers the keys of the objects that are open while nlohmann-json parses.
class DuplicateKeys {
 public:
  bool operator()(int depth, json::parse_event_t event, json& parsed) {
    if (depth > kMaxDepth) problem_ = "nested too deep for a job";
    if (event == json::parse_event_t::object_start) open_.emplace_back();
    if (event == json::parse_event_t::object_end) open_.pop_back();
    if (event == json::parse_event_t::key &&
        !open_.back().insert(parsed.get<std::string>()).second) {
      problem_ = absl::StrCat("'", parsed.get<std::string>(), "' is given twice in one object");
    }
    return true;
  }
  const std::string& problem() const { return problem_; }

 private:
  std::vector<std::set<std::string>> open_;
  std::string problem_;
};

}  // namespace

std::string ChildPath(const std::string& parent, const std::string& key) {
  return parent.empty() ? key : absl::StrCat(parent, ".", key);
}

std::string ChildPath(const std::string& parent, size_t index) {
  return absl::StrCat(parent, "[", index, "]");
}

absl::StatusOr<Document> ParseYaml(const std::string& text) {
  return Guard([&] {
    const std::vector<YAML::Node> documents = YAML::LoadAll(text);
    if (documents.empty()) throw YAML::Exception({}, "the file is empty");
    if (documents.size() > 1) {
      throw YAML::Exception(documents[1].Mark(), "a second document begins: one job a file");
    }
    Document document;
    YamlReader reader;
    document.root = reader.Read(documents[0], "", 0);
    document.places = reader.TakePlaces();
    return document;
  });
}

absl::StatusOr<Document> ParseJson(const std::string& text) {
  DuplicateKeys duplicates;
  absl::StatusOr<Document> document = Guard([&] {
    Document result;
    result.root = json::parse(text, std::ref(duplicates));
    return result;
  });
  // Most of JSON is YAML, whose parser tells places; the rest does without them.
  absl::StatusOr<Document> as_yaml = ParseYaml(text);
  if (document.ok() && as_yaml.ok()) document->places = std::move(as_yaml->places);
  if (document.ok() && !duplicates.problem().empty()) {
    return absl::InvalidArgumentError(duplicates.problem());
  }
  return document;
}

}  // namespace stockpot::cli
