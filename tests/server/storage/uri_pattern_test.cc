#include "server/storage/uri_pattern.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "absl/time/clock.h"
#include "server/base/status.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

TEST(UriPattern, MatchesAsAShellDoes) {
  struct Case {
    const char* pattern;
    const char* name;
    bool matches;
  };
  const Case cases[] = {
      {"*", "a", true},
      {"*", "", true},
      {"*", ".a", false},
      {".*", ".a", true},
      {"*.pt", "a.pt", true},
      {"*.pt", ".pt", false},
      {"*.pt", "a.pth", false},
      {"a*b*c", "abc", true},
      {"a*b*c", "aXXbYbZc", true},
      {"a*b*c", "aXXbYbZ", false},
      {"**a", "a", true},
      {"?", "a", true},
      {"?", "", false},
      {"?", "ab", false},
      {"?x", "\xc3\xa9x", true},
      {"*?", "\xc3\xa9", true},
      {"??", "\xc3\xa9", false},
      {"[abc]", "b", true},
      {"[a-c]x", "bx", true},
      {"[a-c]x", "dx", false},
      {"[!a-c]x", "dx", true},
      {"[!a-c]x", "ax", false},
      {"[]]", "]", true},
      {"[a-]", "-", true},
      {"[", "[", true},
      {"a[b", "a[b", true},
      {"lr*[0-9]", "lr3e-5", true},
      {"[*]", "*", true},
      {"[*]", "a", false},
      {"a", "a", true},
      {"a", "A", false},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(MatchesPart(c.pattern, c.name), c.matches) << c.pattern << " " << c.name;
  }
}

TEST(UriPattern, NoPatternTakesForEver) {
  std::string pattern, name(20'000, 'a');
  for (int i = 0; i < 1000; ++i) pattern += "*a";
  const absl::Time begin = absl::Now();
  EXPECT_FALSE(MatchesPart(pattern + "b", name));
  EXPECT_LT(absl::Now() - begin, absl::Seconds(20));
}

TEST(UriPattern, IsAFolderAndParts) {
  struct Case {
    const char* text;
    const char* folder;
    std::vector<std::string> parts;
  };
  const Case cases[] = {
      {"/data/sweep/*.pt", "/data/sweep", {"*.pt"}},
      {"/data/a b/x*/best.pt", "/data/a b", {"x*", "best.pt"}},
      {"/*", "/", {"*"}},
      {"file:///data/a%20b/%5b*%5D", "file:///data/a%20b", {"[*]"}},
      {"s3://bucket/sweep/lr?/a%20*", "s3://bucket/sweep", {"lr?", "a *"}},
      {"s3://bucket/*", "s3://bucket", {"*"}},
      {"s3://bucket/", "s3://bucket", {}},
      {"s3://bucket/sweep/", "s3://bucket/sweep", {}},
      {"hf://org/repo@main/", "hf://org/repo@main", {}},
      {"/data/a b/", "/data/a b", {}},
      {"/", "/", {}},
      {"hf://org/repo@main/*/model.safetensors", "hf://org/repo@main", {"*", "model.safetensors"}},
  };
  for (const Case& c : cases) {
    const auto pattern = ParseUriPattern(c.text);
    ASSERT_TRUE(pattern.ok()) << c.text << pattern.status();
    EXPECT_EQ(pattern->folder, c.folder) << c.text;
    EXPECT_EQ(pattern->parts, c.parts) << c.text;
  }
  for (const char* text :
       {"/data/a.pt", "s3://bucket/a", "s3://b*/a", "s3://bucket*", "hf://org/*", "hf://org/re*/a",
        "hf://org/repo@v*/a", "*", "*.pt", "/a/*/../b", "/a/*//b", "hf://org/", "s3:///",
        "s3://bucket/../", "s3://bucket/../*/a", "s3://key:secret@bucket/*"}) {
    const absl::Status status = ParseUriPattern(text).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "INVALID_FIELD") << text << status;
    EXPECT_EQ(status.message().find("secret"), std::string::npos);
  }
  for (const char* text : {"https://host/*?token=secret", "https://host/sweep/"}) {
    EXPECT_EQ(GetErrorFacts(ParseUriPattern(text).status()).reason, "SOURCE_UNSUPPORTED") << text;
  }
  const auto pattern = *ParseUriPattern("/d/a*/*.pt");
  EXPECT_TRUE(Matches(pattern, "ab/c.pt"));
  for (const char* path : {"ab", "ab/c.pt/d", "b/c.pt", "ab/.c.pt", "c.pt"}) {
    EXPECT_FALSE(Matches(pattern, path)) << path;
  }
  const auto all = *ParseUriPattern("/d/");
  for (const char* path : {"a", "a/b/c.pt"}) EXPECT_TRUE(Matches(all, path)) << path;
  for (const char* path : {".a", "a/.b/c.pt"}) EXPECT_FALSE(Matches(all, path)) << path;
}

TEST(UriPattern, LocalFilesAreFoundInByteOrder) {
  TemporaryFolder folder;
  for (const char* name :
       {"a/best.pt", "b/best.pt", "B/best.pt", "b/other.pt", "c/best.pt/x", ".h/best.pt",
        "d/sub/best.pt", "bad\xff/best.pt", "bad\xe0\x80\x80/best.pt", "bad\xed\xa0\x80/best.pt",
        "closed/best.pt", "\xc3\xa9\xe2\x82\xac/best.pt"}) {
    const std::filesystem::path path(folder / name);
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "x";
  }
  std::filesystem::create_directory_symlink(folder / "a", folder / "link");
  const auto list = [&](const std::string& pattern, size_t most = 100) {
    return ListLocalMatches(
        folder.path(), *ParseUriPattern(folder / pattern), most, [](const std::string& path) {
          return path.find("closed") == std::string::npos ? absl::OkStatus()
                                                          : absl::PermissionDeniedError("");
        });
  };
  EXPECT_THAT(*list("*/best.pt"), ElementsAre("B/best.pt", "a/best.pt", "b/best.pt", "link/best.pt",
                                              "\xc3\xa9\xe2\x82\xac/best.pt"));
  EXPECT_THAT(*list("[ab]/*"), ElementsAre("a/best.pt", "b/best.pt", "b/other.pt"));
  EXPECT_THAT(*list("none*"), ElementsAre());
  EXPECT_THAT(*list(""),
              ElementsAre("B/best.pt", "a/best.pt", "b/best.pt", "b/other.pt", "c/best.pt/x",
                          "d/sub/best.pt", "\xc3\xa9\xe2\x82\xac/best.pt"))
      << "however deep, not twice by the link";
  EXPECT_EQ(GetErrorFacts(list("", 5).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_EQ(GetErrorFacts(list("*/best.pt", 5).status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_TRUE(absl::IsNotFound(
      ListLocalMatches(folder / "none", *ParseUriPattern("/x/*"), 9, [](const std::string&) {
        return absl::OkStatus();
      }).status()));
}

}  // namespace
}  // namespace stockpot
