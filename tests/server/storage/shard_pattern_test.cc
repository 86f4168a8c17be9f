#include "server/storage/shard_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/status.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

TEST(ExpandShards, CountsInTheWidthOfTheFirstNumber) {
  EXPECT_THAT(*ExpandShards("/d/x.tar"), ElementsAre("/d/x.tar"));
  EXPECT_THAT(*ExpandShards("/d/x-{8..11}.tar"),
              ElementsAre("/d/x-8.tar", "/d/x-9.tar", "/d/x-10.tar", "/d/x-11.tar"));
  EXPECT_THAT(*ExpandShards("hf://datasets/o/r@main/x-{0008..0010}.tar"),
              ElementsAre("hf://datasets/o/r@main/x-0008.tar", "hf://datasets/o/r@main/x-0009.tar",
                          "hf://datasets/o/r@main/x-0010.tar"));
  EXPECT_THAT(*ExpandShards("{0..1}/{5..6}"), ElementsAre("0/5", "0/6", "1/5", "1/6"));
  EXPECT_THAT(*ExpandShards("{7..7}"), ElementsAre("7"));
  EXPECT_EQ(ExpandShards("{0..99999}")->size(), 100'000u);
}

TEST(ExpandShards, RefusesWhatIsNoRangeOrTooMany) {
  for (const char* pattern :
       {"{", "a{1..2", "{1}", "{a..b}", "{..}", "{1..}", "{..2}", "{2..1}", "{1..2..3}", "{-1..2}",
        "{0..100000}", "{0..999}{0..999}", "{0..9999999999}", "{1,2}", "{{1..2}}"}) {
    EXPECT_EQ(GetErrorFacts(ExpandShards(pattern).status()).reason, "INVALID_FIELD") << pattern;
  }
}

}  // namespace
}  // namespace stockpot
