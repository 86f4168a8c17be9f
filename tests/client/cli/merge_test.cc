// stockpot merge's command lines: what stockpot-merge is told. Its own tests say what it does.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

TEST(Merge, ExpandsPatternsInByteOrderAndPassesEverythingOn) {
  ClientHarness client;
  for (const char* name : {"b.safetensors", "a.safetensors", "C.safetensors", "note.txt"}) {
    std::ofstream(client.folder / name) << "x";
  }
  const auto outcome = client.Run(
      {"merge", client.folder / "b*", client.folder / "*.safetensors", "--out",
       client.folder / "soup.safetensors", "--coefficients", "0.2,-1e-3,0.5", "--dtype", "bfloat16",
       "--max-shard-bytes", "1000", "--threads", "3", "--digests", "--plan", "--json", "-q"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  EXPECT_THAT(client.became,
              ElementsAre("stockpot-merge", "--out=" + (client.folder / "soup.safetensors"),
                          client.folder / "b.safetensors", client.folder / "C.safetensors",
                          client.folder / "a.safetensors", "--coefficients=0.2,-1e-3,0.5",
                          "--dtype=bfloat16", "--max-shard-bytes=1000", "--threads=3", "--digests",
                          "--plan", "--json", "--quiet"));
}

TEST(Merge, RefusesWhatItCannotRead) {
  ClientHarness client;
  const std::vector<std::vector<std::string>> lines = {
      {"merge", "--out", "s.safetensors"},
      {"merge", "a.safetensors"},
      {"merge", "s3://bucket/a.safetensors", "--out", "s.safetensors"},
      {"merge", client.folder / "*.nothing", "--out", "s.safetensors"},
      {"merge", "a", "--out", "s.safetensors", "--dtype", "int8"},
      {"merge", "a", "--out", "s.safetensors", "--threads", "-1"}};
  for (const auto& line : lines) {
    const auto outcome = client.Run(line);
    EXPECT_EQ(outcome.code, 2) << testing::PrintToString(line);
    EXPECT_THAT(outcome.error, HasSubstr("error:"));
    EXPECT_THAT(client.became, IsEmpty());
  }
}

}  // namespace
}  // namespace stockpot::cli
