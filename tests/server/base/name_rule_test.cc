#include "server/base/name_rule.h"

#include <gtest/gtest.h>

namespace stockpot {
namespace {

TEST(NameRule, RenamesByTheFirstRuleThatMatches) {
  const std::vector<NameRule> rules = {{"model.*", "*"}, {"h.*.attn.*", "blocks.*.attention.*"},
                                       {"head", "fc"},   {"*.gamma", "*.weight"},
                                       {"a*b*c", "*"},   {"*gone", ""}};
  const struct {
    const char *name, *renamed;
  } cases[] = {
      {"model.fc.weight", "fc.weight"},
      {"model.", ""},
      {"h.11.attn.c_attn.weight", "blocks.11.attention.c_attn.weight"},
      {"h.1.attn.attn.attn.bias", "blocks.1.attention.attn.attn.bias"},
      {"head", "fc"},
      {"head.weight", "head.weight"},
      {"norm.gamma", "norm.weight"},
      {"model.norm.gamma", "norm.gamma"},
      {"abc", ""},
      {"axxbyyc", "xx"},
      {"ac", "ac"},
      {"long gone", ""},
      {"", ""},
  };
  for (const auto& [name, renamed] : cases) EXPECT_EQ(Renamed(rules, name), renamed) << name;
}

TEST(NameRule, RefusesWhatCannotBeMeant) {
  EXPECT_TRUE(CheckNameRule({"*", "model.*"}).ok());
  EXPECT_TRUE(CheckNameRule({"a.*.*", "b.*"}).ok());
  EXPECT_FALSE(CheckNameRule({"", "x"}).ok());
  EXPECT_FALSE(CheckNameRule({"a", "*"}).ok());
  EXPECT_FALSE(CheckNameRule({"a.*", "*.*"}).ok());
}

}  // namespace
}  // namespace stockpot
