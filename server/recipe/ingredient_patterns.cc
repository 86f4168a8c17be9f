#include "server/recipe/ingredient_patterns.h"

#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "server/base/checkpoint_folder.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr char kPattern[] = "uri_pattern", kUri[] = "uri", kName[] = "display_name";
constexpr char kIsNamedHere[] = "is_named_here";
constexpr size_t kMostNameBytes = 200;

std::string TextOf(const Json& ingredient, const char* key) {
  const auto found = ingredient.find(key);
  return found != ingredient.end() && found->is_string() ? found->get<std::string>() : "";
}

// What stands for several, and the field that says so; else "".
struct Place {
  std::string text;
  const char* field = kPattern;
};

Place PlaceOf(const Json& ingredient) {
  Place place{TextOf(ingredient, kPattern), kPattern};
  if (!place.text.empty()) return place;
  const std::string uri = TextOf(ingredient, kUri);
  return MayHoldCheckpoints(uri) ? Place{uri, kUri} : place;
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

// The ingredients of one pattern or folder, as the spec would list them.
std::vector<Json> IngredientsOf(const Json& pattern, const std::vector<std::string>& uris) {
  std::vector<Json> ingredients;
  const std::vector<std::string> names = WhatDiffers(uris);
  for (size_t i = 0; i < uris.size(); ++i) {
    Json ingredient = pattern;
    ingredient.erase(kPattern);
    ingredient[kUri] = uris[i];
    const bool is_named = !TextOf(pattern, kName).empty();  // a folder, of one file
    if (!is_named && names[i].size() <= kMostNameBytes) ingredient[kName] = names[i];
    ingredients.push_back(std::move(ingredient));
  }
  return ingredients;
}

absl::Status AtPlace(const absl::Status& status, const std::string& path, size_t index,
                     const Place& place) {
  ErrorFacts facts;
  facts.violations = {{absl::StrCat(path, ".ingredients[", index, "].", place.field),
                       std::string(status.message())}};
  return WithFacts(Annotate(status, absl::StrCat("the ingredients ", place.text)), facts);
}

absl::Status NameOfSeveral(size_t count) {
  return WithReason(absl::InvalidArgumentError(
                        absl::StrCat("the folder holds ", count,
                                     " checkpoints, which are called by what differs: leave "
                                     "display_name out")),
                    "INVALID_FIELD");
}

}  // namespace

std::vector<Task> PatternTasks(const JobSpec& spec, const std::string& scope,
                               const SpecLimits& limits) {
  std::vector<Task> tasks;
  for (const IngredientSpec& ingredient : spec.ingredients) {
    if (ingredient.is_one()) continue;
    const std::string& place = ingredient.is_folder ? ingredient.uri : ingredient.uri_pattern;
    tasks.push_back(ListSourcesTask(scope, place, limits.max_ingredients));
  }
  return tasks;
}

absl::StatusOr<JobSpec> ExpandPatterns(const Json& json, const std::vector<const Fact*>& facts,
                                       const std::string& path, const SpecLimits& limits) {
  std::set<std::string> uris;            // named one by one, then found
  std::map<std::string, int> name_uses;  // given, made, or to come of a URI
  for (const Json& ingredient : json.at("ingredients")) {
    if (!PlaceOf(ingredient).text.empty()) continue;
    const std::string uri = TextOf(ingredient, kUri), name = TextOf(ingredient, kName);
    uris.insert(uri);
    ++name_uses[name.empty() ? LastPartOf(uri) : name];
  }
  std::vector<Json> ingredients;
  size_t fact = 0, index = 0;
  for (const Json& ingredient : json.at("ingredients")) {
    const Place place = PlaceOf(ingredient);
    if (place.text.empty()) {
      ingredients.push_back(ingredient);
    } else {
      const auto found = ReadSourcesListed(*facts[fact++]);
      if (!found.ok()) return AtPlace(found.status(), path, index, place);
      std::vector<std::string> fresh;
      for (const std::string& uri : *found) {
        if (uris.insert(uri).second) fresh.push_back(uri);
      }
      const bool is_named = !TextOf(ingredient, kName).empty();
      if (is_named && fresh.size() > 1) {
        return AtPlace(NameOfSeveral(fresh.size()), path, index, {place.text, kName});
      }
      if (fresh.size() == 1 && fresh[0] == place.text) {
        ++name_uses[is_named ? TextOf(ingredient, kName) : fresh[0]];
        ingredients.push_back(ingredient);
      } else if (!fresh.empty()) {
        for (Json& one : IngredientsOf(ingredient, fresh)) {
          if (!is_named) one[kIsNamedHere] = true;
          ++name_uses[TextOf(one, kName)];
          ingredients.push_back(std::move(one));
        }
      }
    }
    ++index;
  }
  for (Json& ingredient : ingredients) {
    const bool is_named_here = ingredient.erase(kIsNamedHere) > 0;
    if (is_named_here && name_uses[TextOf(ingredient, kName)] > 1) ingredient.erase(kName);
  }
  Json expanded = json;
  expanded["ingredients"] = std::move(ingredients);
  ASSIGN_OR_RETURN(JobSpec spec, ParseJobSpec(expanded, path, limits));
  for (IngredientSpec& ingredient : spec.ingredients) ingredient.is_folder = false;
  return spec;
}

}  // namespace stockpot
