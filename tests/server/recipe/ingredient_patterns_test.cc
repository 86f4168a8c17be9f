// Patterns among the ingredients: what becomes of them once a worker has looked.
#include "server/recipe/ingredient_patterns.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/support/fakes/fake_results.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Json SpecOf(const Json& ingredients, const Json& extra = Json::object()) {
  Json spec = FakeSpec({"/x"}, extra);
  spec["ingredients"] = ingredients;
  return spec;
}

Fact Found(const std::vector<std::string>& uris) {
  Fact fact;
  fact.result = {{"sources", {{"uris", uris}}}};
  return fact;
}

// "name=uri group", one each; or the error.
std::vector<std::string> Expanded(const Json& spec, const std::vector<Fact>& facts,
                                  const SpecLimits& limits = {}) {
  std::vector<const Fact*> pointers;
  for (const Fact& fact : facts) pointers.push_back(&fact);
  const auto expanded = ExpandPatterns(spec, pointers, "spec", limits);
  if (!expanded.ok()) return {absl::StrCat("ERROR ", expanded.status().ToString())};
  EXPECT_FALSE(expanded->has_patterns());
  std::vector<std::string> texts;
  for (const IngredientSpec& ingredient : expanded->ingredients) {
    texts.push_back(absl::StrCat(ingredient.display_name, "=", ingredient.uri,
                                 ingredient.group.empty() ? "" : " ", ingredient.group));
  }
  return texts;
}

TEST(IngredientPatterns, StandWhereThePatternStoodUnderWhatDiffers) {
  const Json spec = SpecOf({{{"uri", "/a/first.pt"}},
                            {{"uri_pattern", "s3://b/sweep/*/best.pt"}, {"group", "g"}},
                            {{"uri", "/a/last.pt"}, {"display_name", "the last"}}});
  EXPECT_THAT(Expanded(spec, {Found({"s3://b/sweep/lr1/best.pt", "s3://b/sweep/lr2/best.pt"})}),
              ElementsAre("first.pt=/a/first.pt", "lr1=s3://b/sweep/lr1/best.pt g",
                          "lr2=s3://b/sweep/lr2/best.pt g", "the last=/a/last.pt"));
}

TEST(IngredientPatterns, NamesAreOfThePartsThatDiffer) {
  struct Case {
    std::vector<std::string> uris;
    std::vector<std::string> names;
  };
  const Case cases[] = {
      {{"/s/a.pt", "/s/b.pt"}, {"a.pt", "b.pt"}},
      {{"/s/only.pt"}, {"only.pt"}},
      {{"/s/1/x/a.pt", "/s/2/x/a.pt"}, {"1", "2"}},
      {{"/s/1/x/a.pt", "/s/1/y/a.pt", "/s/2/x/a.pt"}, {"1/x", "1/y", "2/x"}},
      {{"/s/1/a.pt", "/s/1/b.pt", "/s/2/a.pt"}, {"1/a.pt", "1/b.pt", "2/a.pt"}},
      {{"/s/a/a.pt", "/s/a/a/a.pt"}, {"a.pt", "a/a.pt"}},
  };
  for (const Case& c : cases) {
    const auto spec = SpecOf({{{"uri_pattern", "/s/*"}}});
    std::vector<std::string> expected;
    for (size_t i = 0; i < c.uris.size(); ++i) expected.push_back(c.names[i] + "=" + c.uris[i]);
    EXPECT_EQ(Expanded(spec, {Found(c.uris)}), expected);
  }
}

TEST(IngredientPatterns, AFileIsAnIngredientOnceAndNamesAreUnique) {
  const Json spec = SpecOf({{{"uri_pattern", "/one/*"}},
                            {{"uri", "/one/b.pt"}},
                            {{"uri_pattern", "/*/*"}},
                            {{"uri", "/z/c.pt"}}});
  EXPECT_THAT(Expanded(spec, {Found({"/one/a.pt", "/one/b.pt", "/one/c.pt"}),
                              Found({"/one/a.pt", "/two/c.pt"})}),
              ElementsAre("a.pt=/one/a.pt", "/one/c.pt=/one/c.pt", "b.pt=/one/b.pt",
                          "/two/c.pt=/two/c.pt", "/z/c.pt=/z/c.pt"));
}

TEST(IngredientPatterns, NamesOfTheSpecAreCheckedOnceTheyAreKnown) {
  const Json analysis = {
      {"analysis", {{"pairs", {{"pairs", {{{"first", "a.pt"}, {"second", "b.pt"}}}}}}}}};
  const Json spec = SpecOf({{{"uri_pattern", "/s/*"}}}, analysis);
  ASSERT_TRUE(ParseJobSpec(spec, "spec", {}).ok()) << ParseJobSpec(spec, "spec", {}).status();
  EXPECT_EQ(Expanded(spec, {Found({"/s/a.pt", "/s/b.pt"})}).size(), 2u);
  EXPECT_THAT(Expanded(spec, {Found({"/s/a.pt", "/s/c.pt"})}),
              ElementsAre(HasSubstr("'b.pt' is not the name of an ingredient")));
}

TEST(IngredientPatterns, AFolderStaysOrIsWhatLiesBelowIt) {
  const Json spec = SpecOf({{{"uri", "/one/"}, {"display_name", "adapter"}},
                            {{"uri", "hf://org/sweep/"}, {"group", "g"}},
                            {{"uri", "/three/"}, {"display_name", "the only"}},
                            {{"uri", "https://host/model/"}},
                            {{"uri", "/run[1]/"}},
                            {{"uri", "/five/"}}});
  const auto parsed = ParseJobSpec(spec, "spec", {});
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(PatternTasks(*parsed, "s", {}).size(), 4u) << "a web server's folder is not listed";
  EXPECT_THAT(
      Expanded(spec,
               {Found({"/one/"}), Found({"hf://org/sweep@c/1/m.pt", "hf://org/sweep@c/2/m.pt"}),
                Found({"/three/x.pt"}), Found({"/five/"})}),
      ElementsAre("adapter=/one/", "1=hf://org/sweep@c/1/m.pt g", "2=hf://org/sweep@c/2/m.pt g",
                  "the only=/three/x.pt", "https://host/model/=https://host/model/",
                  "/run[1]/=/run[1]/", "/five/=/five/"));
}

TEST(IngredientPatterns, OneNameIsNotForSeveral) {
  const Json spec = SpecOf({{{"uri", "/s/"}, {"display_name", "x"}}});
  const Fact found = Found({"/s/a.pt", "/s/b.pt"});
  const ErrorFacts facts = GetErrorFacts(ExpandPatterns(spec, {&found}, "spec", {}).status());
  EXPECT_EQ(facts.reason, "INVALID_FIELD");
  ASSERT_EQ(facts.violations.size(), 1u);
  EXPECT_EQ(facts.violations[0].field, "spec.ingredients[0].display_name");
  EXPECT_THAT(facts.violations[0].description, HasSubstr("2 checkpoints"));
}

TEST(IngredientPatterns, WhatFailsNamesTheField) {
  const Json spec = SpecOf({{{"uri", "/x"}}, {{"uri_pattern", "/none/*"}}});
  Fact fact;
  fact.status = WithReason(absl::NotFoundError("nothing matches"), "CHECKPOINT_NOT_FOUND");
  const absl::Status status = ExpandPatterns(spec, {&fact}, "spec", {}).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  const ErrorFacts facts = GetErrorFacts(status);
  EXPECT_EQ(facts.reason, "CHECKPOINT_NOT_FOUND");
  ASSERT_EQ(facts.violations.size(), 1u);
  EXPECT_EQ(facts.violations[0].field, "spec.ingredients[1].uri_pattern");
  SpecLimits limits;
  limits.max_ingredients = 2;
  EXPECT_THAT(Expanded(spec, {Found({"/a", "/b"})}, limits), ElementsAre(HasSubstr("at most 2")));
}

TEST(IngredientPatterns, AreCheckedWhenTheJobIsMade) {
  const std::pair<Json, const char*> cases[] = {
      {{{"uri_pattern", "/a/*"}, {"uri", "/b"}}, "spec.ingredients[0].uri"},
      {{{"uri_pattern", "/a/*"}, {"display_name", "x"}}, "spec.ingredients[0].display_name"},
      {{{"uri_pattern", std::string(10'000, 'a')}}, "spec.ingredients[0].uri_pattern"},
      {{{"group", "g"}}, "spec.ingredients[0].uri"},
  };
  for (const auto& [ingredient, field] : cases) {
    const absl::Status status =
        ParseJobSpec(SpecOf(Json::array({ingredient})), "spec", {}).status();
    ASSERT_FALSE(GetErrorFacts(status).violations.empty()) << ingredient.dump();
    EXPECT_EQ(GetErrorFacts(status).violations[0].field, field);
  }
}

}  // namespace
}  // namespace stockpot
