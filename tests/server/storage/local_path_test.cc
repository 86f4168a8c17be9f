#include "server/storage/local_path.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "server/base/files.h"
#include "server/base/status.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

TEST(LocalPath, HasOneReading) {
  const std::pair<const char*, const char*> cases[] = {
      {"/a/b", "/a/b"},
      {"//a///b/./c/", "/a/b/c"},
      {"file:///a/b", "/a/b"},
      {"FILE:///a/b", "/a/b"},
      {"file://localhost/a", "/a"},
      {"file:///a%20b/%e2%82%ac", "/a b/\xe2\x82\xac"},
      {"/a%20b", "/a%20b"},  // a plain path is taken as it is
      {"/models/v1://x", "/models/v1:/x"},
      {"/", "/"},
  };
  for (const auto& [uri, path] : cases) {
    absl::StatusOr<std::string> found = LocalPath(uri);
    ASSERT_TRUE(found.ok()) << uri << ": " << found.status();
    EXPECT_EQ(*found, path) << uri;
  }
}

TEST(LocalPath, RefusesWhatIsNotALocalAbsolutePath) {
  const std::pair<absl::string_view, absl::StatusCode> cases[] = {
      {"", absl::StatusCode::kInvalidArgument},
      {"a/b", absl::StatusCode::kInvalidArgument},
      {"/a/../b", absl::StatusCode::kInvalidArgument},
      {"file:///a/%2e%2e/b", absl::StatusCode::kInvalidArgument},
      {"file:///a%00b", absl::StatusCode::kInvalidArgument},
      {"file:///a%2", absl::StatusCode::kInvalidArgument},
      {"file:///a%zz", absl::StatusCode::kInvalidArgument},
      {"file://host/a", absl::StatusCode::kInvalidArgument},
      {"file://", absl::StatusCode::kInvalidArgument},
      {absl::string_view("/a\0b", 4), absl::StatusCode::kInvalidArgument},
      {"ftp://host/key", absl::StatusCode::kUnimplemented},
      {"http://host/a", absl::StatusCode::kUnimplemented},
  };
  for (const auto& [uri, code] : cases) EXPECT_EQ(LocalPath(uri).status().code(), code) << uri;
}

class AllowListTest : public testing::Test {
 protected:
  void SetUp() override {
    for (const char* name : {"data", "models", "secret", "data-other"}) {
      ASSERT_TRUE(MakeFolders(folder_ / name).ok());
      ASSERT_TRUE(WriteFileDurably(folder_ / (std::string(name) + "/f"), "x").ok());
    }
    std::filesystem::create_symlink(folder_ / "secret/f", folder_ / "data/escape");
    std::filesystem::create_symlink(folder_ / "data/f", folder_ / "data/inside");
    std::filesystem::create_directory_symlink(folder_ / "data", folder_ / "alias");
  }
  AllowList List(const std::string& root, const std::string& architectures) {
    return *AllowList::Create({folder_ / root}, {folder_ / architectures});
  }
  TemporaryFolder folder_;
};

TEST_F(AllowListTest, AllowsBelowARootAndNothingElse) {
  const AllowList list = List("data", "models");
  EXPECT_EQ(*list.ResolveData(folder_ / "data/f"), folder_ / "data/f");
  EXPECT_EQ(*list.ResolveData(folder_ / "data/inside"), folder_ / "data/f");
  for (const char* path : {"data-other/f", "secret/f", "models/f"}) {
    const absl::Status status = list.CheckData(folder_ / path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << path;
    EXPECT_EQ(GetErrorFacts(status).reason, "PATH_NOT_ALLOWED");
  }
}

TEST_F(AllowListTest, ASymbolicLinkDoesNotLeadOut) {
  const AllowList list = List("data", "models");
  EXPECT_TRUE(list.CheckData(folder_ / "data/escape").ok()) << "by text it is below the root";
  EXPECT_EQ(list.ResolveData(folder_ / "data/escape").status().code(),
            absl::StatusCode::kPermissionDenied);
}

TEST_F(AllowListTest, ARootThatIsALinkItselfIsFollowed) {
  EXPECT_EQ(*List("alias", "models").ResolveData(folder_ / "alias/f"), folder_ / "data/f");
}

TEST_F(AllowListTest, ArchitecturesHaveAListOfTheirOwn) {
  const AllowList list = List("data", "models");
  EXPECT_TRUE(list.ResolveArchitecture(folder_ / "models/f").ok());
  const absl::Status status = list.ResolveArchitecture(folder_ / "data/f").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied);
  EXPECT_EQ(GetErrorFacts(status).reason, "ARCHITECTURE_NOT_ALLOWED");
  EXPECT_EQ(list.ResolveArchitecture(folder_ / "models/none").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(AllowListTest, OutputGoesBelowAnOutputRootAndNowhereElse) {
  std::filesystem::create_directory_symlink(folder_ / "secret", folder_ / "data/out");
  std::filesystem::create_symlink(folder_ / "gone", folder_ / "data/dangling");
  std::filesystem::create_symlink(folder_ / "data/loop", folder_ / "data/loop");
  const AllowList list = *AllowList::Create({folder_ / "models"}, {}, {folder_ / "data"});
  // A folder that is not there yet is fine.
  for (const char* path : {"data/new", "data/new/deep/er", "data", "data/./new/"}) {
    EXPECT_TRUE(list.CheckOutput(folder_ / path).ok()) << path;
  }
  EXPECT_EQ(*list.CheckOutput("file://" + folder_.path() + "/data/a%20b"), folder_ / "data/a b");
  for (const char* path : {"models/x", "data-other/x", "secret", "data/out", "data/out/x",
                           "data/dangling", "data/dangling/x", "data/loop/x"}) {
    const absl::Status status = list.CheckOutput(folder_ / path).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << path;
    EXPECT_EQ(GetErrorFacts(status).reason, "OUTPUT_NOT_ALLOWED") << path;
  }
  EXPECT_EQ(list.CheckOutput(folder_ / "data/../secret").status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(AllowList::Create({}, {}, {"relative"}).ok());
}

TEST_F(AllowListTest, OutputBelowARootThatIsALinkHasOnePathBeforeAndAfterItIsMade) {
  const AllowList list = *AllowList::Create({}, {}, {folder_ / "alias"});
  const std::string before = *list.CheckOutput(folder_ / "alias/new");
  EXPECT_EQ(before, folder_ / "data/new");
  ASSERT_TRUE(MakeFolders(before).ok());
  EXPECT_EQ(*list.CheckOutput(folder_ / "alias/new"), before);
}

TEST_F(AllowListTest, OutputInAnObjectStoreHasAListOfItsOwn) {
  const AllowList list =
      *AllowList::Create({}, {}, {}, {"s3://data/"}, {"s3://soups/team", "az://container"});
  EXPECT_EQ(*list.CheckOutput("S3://soups/team/%61/"), "s3://soups/team/a");
  EXPECT_EQ(*list.CheckOutput("az://container"), "abfs://container");
  for (const char* uri :
       {"s3://data/soup", "s3://soups/teammate", "s3://soups", "gs://soups/team"}) {
    EXPECT_EQ(GetErrorFacts(list.CheckOutput(uri).status()).reason, "OUTPUT_NOT_ALLOWED") << uri;
  }
  EXPECT_EQ(GetErrorFacts(list.CheckData("s3://soups/team/a").status()).reason, "PATH_NOT_ALLOWED")
      << "what may be written may not be read";
  EXPECT_TRUE(absl::IsUnimplemented(list.CheckOutput("https://host/soup").status()));
  EXPECT_TRUE(absl::IsInvalidArgument(list.CheckOutput("s3://soups/team/../a").status()));
  EXPECT_FALSE(AllowList::Create({}, {}, {}, {}, {"hf://org/"}).ok());
}

TEST_F(AllowListTest, NothingIsAllowedUntilSaid) {
  const AllowList list = *AllowList::Create({}, {});
  EXPECT_FALSE(list.CheckData("/etc/passwd").ok());
  EXPECT_FALSE(list.CheckOutput("/tmp/x").ok());
  EXPECT_FALSE(AllowList::Create({"relative"}, {}).ok());
}

}  // namespace
}  // namespace stockpot
