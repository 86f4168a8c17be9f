#include "server/recipe/ingredient_patterns.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kPattern[] = "uri_pattern";
constexpr size_t kMostNameBytes = 200;

std::string TextOf(const Json& ingredient, const char* key) {
  const auto found = ingredient.find(key);
  return found != ingredient.end() && found->is_string() ? found->get<std::string>() : "";
}

std::string LastPartOf(const std::string& uri) { return uri.substr(uri.rfind('/') + 1); }

// What tells URIs apart: their parts without those that all have at the begin, and at the end. Of
// one alone its last part.
std::vector<std::string> WhatDiffers(const std::vector<std::string>& uris) {
  std::vector<std::vector<std::string>> parts;
  for (const std::string& uri : uris) parts.push_back(absl::StrSplit(uri, '/'));
  size_t shortest = parts[0].size();
  for (const auto& of_one : parts) shortest = std::min(shortest, of_one.size());
  const auto all_have = [&](auto part_of) {
    return std::all_of(parts.begin(), parts.end(),
                       [&](const auto& of_one) { return part_of(of_one) == part_of(parts[0]); });
  };
  size_t front = 0, back = 0;
  while (front + 1 < shortest && all_have([&](const auto& p) { return p[front]; })) ++front;
  while (front + back + 1 < shortest &&
         all_have([&](const auto& p) { return p[p.size() - 1 - back]; })) {
    ++back;
  }
  std::vector<std::string> names;
  for (const auto& of_one : parts) {
    names.push_back(absl::StrJoin(of_one.begin() + static_cast<std::ptrdiff_t>(front),
                                  of_one.end() - static_cast<std::ptrdiff_t>(back), "/"));
  }
  return names;
}

// The ingredients of one pattern, as the spec would list them.
std::vector<Json> IngredientsOf(const Json& pattern, const std::vector<std::string>& uris) {
  std::vector<Json> ingredients;
  const std::vector<std::string> names = WhatDiffers(uris);
  for (size_t i = 0; i < uris.size(); ++i) {
    Json ingredient = pattern;
    ingredient.erase(kPattern);
    ingredient["uri"] = uris[i];
    if (names[i].size() <= kMostNameBytes) ingredient["display_name"] = names[i];
    ingredients.push_back(std::move(ingredient));
  }
  return ingredients;
}

absl::Status AtPattern(const absl::Status& status, const std::string& path, size_t index,
                       const std::string& pattern) {
  ErrorFacts facts;
  facts.violations = {
      {absl::StrCat(path, ".ingredients[", index, "].", kPattern), std::string(status.message())}};
  return WithFacts(Annotate(status, absl::StrCat("the ingredients ", pattern)), facts);
}

}  // namespace

std::vector<Task> PatternTasks(const JobSpec& spec, const std::string& scope,
                               const SpecLimits& limits) {
  std::vector<Task> tasks;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    if (ingredient.uri_pattern.empty()) continue;
    tasks.push_back(ListSourcesTask(scope, ingredient.uri_pattern, limits.max_ingredients));
  }
  return tasks;
}

absl::StatusOr<JobSpec> ExpandPatterns(const Json& json, const std::vector<const Fact*>& facts,
                                       const std::string& path, const SpecLimits& limits) {
  std::set<std::string> uris;            // named one by one, then found
  std::map<std::string, int> name_uses;  // given, made, or to come of a URI
  for (const Json& ingredient : json.at("ingredients")) {
    if (!TextOf(ingredient, kPattern).empty()) continue;
    const std::string uri = TextOf(ingredient, "uri"), name = TextOf(ingredient, "display_name");
    uris.insert(uri);
    ++name_uses[name.empty() ? LastPartOf(uri) : name];
  }
  std::vector<Json> ingredients;
  size_t fact = 0, index = 0;
  for (const Json& ingredient : json.at("ingredients")) {
    const std::string pattern = TextOf(ingredient, kPattern);
    if (pattern.empty()) {
      ingredients.push_back(ingredient);
    } else {
      const auto found = ReadSourcesListed(*facts[fact++]);
      if (!found.ok()) return AtPattern(found.status(), path, index, pattern);
      std::vector<std::string> fresh;
      for (const std::string& uri : *found) {
        if (uris.insert(uri).second) fresh.push_back(uri);
      }
      if (!fresh.empty()) {
        for (Json& one : IngredientsOf(ingredient, fresh)) {
          ++name_uses[TextOf(one, "display_name")];
          one["is_of_pattern"] = true;
          ingredients.push_back(std::move(one));
        }
      }
    }
    ++index;
  }
  for (Json& ingredient : ingredients) {
    const bool is_of_pattern = ingredient.erase("is_of_pattern") > 0;
    if (is_of_pattern && name_uses[TextOf(ingredient, "display_name")] > 1) {
      ingredient.erase("display_name");
    }
  }
  Json expanded = json;
  expanded["ingredients"] = std::move(ingredients);
  return ParseJobSpec(expanded, path, limits);
}

}  // namespace stockpot
