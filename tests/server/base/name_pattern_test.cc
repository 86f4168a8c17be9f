#include "server/base/name_pattern.h"

#include <gtest/gtest.h>

#include <string>

namespace stockpot {
namespace {

TEST(NamePattern, StarsAreAnyTextAndQuestionMarksAnyByte) {
  const struct {
    std::string pattern, name;
    bool matches;
  } cases[] = {
      {"", "", true},
      {"", "a", false},
      {"*", "", true},
      {"*", "head.weight", true},
      {"**", "a", true},
      {"?", "", false},
      {"?", "a", true},
      {"?", "ab", false},
      {"head.weight", "head.weight", true},
      {"head.weight", "head.weights", false},
      {"head", "head.weight", false},
      {"head.*", "head.weight", true},
      {"head.*", "head.", true},
      {"head.*", "head", false},
      {"head.*", "my.head.weight", false},
      {"*.weight", "layer.0.weight", true},
      {"*.weight", "layer.0.weight_v", false},
      {"layer.?.bias", "layer.3.bias", true},
      {"layer.?.bias", "layer.13.bias", false},
      {"*norm*.running_*", "layer1.norm2.running_mean", true},
      {"*norm*.running_*", "layer1.conv2.running_mean", false},
      {"*ab", "aab", true},
      {"*aab", "aaab", true},
      {"a*b*c", "axxbxxbc", true},
      {"a*b*c", "axxbxxb", false},
      {"*?", "a", true},
      {"?*", "", false},
      {"[a]", "a", false},
      {"[a]", "[a]", true},
      {"*", std::string("a\0b", 3), true},
  };
  for (const auto& test : cases) {
    EXPECT_EQ(MatchesPattern(test.pattern, test.name), test.matches)
        << "'" << test.pattern << "' and '" << test.name << "'";
  }
}

// A matcher that tries every star again takes 10^40 steps here.
TEST(NamePattern, PatternsOfManyStarsEndInTime) {
  std::string pattern;
  for (int i = 0; i < 40; ++i) pattern += "*a";
  const std::string name(1000, 'a');
  EXPECT_TRUE(MatchesPattern(pattern, name));
  EXPECT_FALSE(MatchesPattern(pattern + "b", name));
}

TEST(NamePattern, OneOfSeveralIsEnough) {
  EXPECT_TRUE(MatchesAny({"a", "b*"}, "bc"));
  EXPECT_FALSE(MatchesAny({"a", "b*"}, "ab"));
  EXPECT_FALSE(MatchesAny({}, ""));
}

}  // namespace
}  // namespace stockpot
