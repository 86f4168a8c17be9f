#include "server/base/files.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "server/base/mapped_file.h"
#include "server/base/status.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

TEST(Files, DurableWriteReplacesAndLeavesNothingElse) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileDurably(folder / "a", "old").ok());
  ASSERT_TRUE(WriteFileDurably(folder / "a", "new").ok());
  EXPECT_EQ(*ReadSmallFile(folder / "a", 100), "new");
  int count = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(folder.path())) {
    ++count;
  }
  EXPECT_EQ(count, 1);
}

TEST(Files, ErrorsOfTheSystemBecomeCodes) {
  TemporaryFolder folder;
  EXPECT_EQ(ReadSmallFile(folder / "none", 9).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(WriteFileDurably(folder / "none/a", "x").code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WriteFileDurably(folder / "a", "1234567890").ok());
  EXPECT_EQ(ReadSmallFile(folder / "a", 9).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorFacts(ErrnoStatus(ENOSPC, "x")).reason, "DISK_FULL");
}

TEST(Files, PrivateFoldersAreTheOwnersAlone) {
  TemporaryFolder folder;
  ASSERT_TRUE(MakeFolders(folder / "a/b", /*only_owner=*/true).ok());
  struct stat info;
  ASSERT_EQ(stat((folder / "a/b").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
  EXPECT_TRUE(MakeFolders(folder / "a/b").ok()) << "there already";
  EXPECT_TRUE(RemoveAll(folder / "a").ok());
  EXPECT_TRUE(RemoveAll(folder / "a").ok()) << "gone already";
}

TEST(MappedFile, SeesTheBytesAlsoAfterTheFileIsRemoved) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileDurably(folder / "a", "some bytes").ok());
  auto mapped = MappedFile::Open(folder / "a");
  ASSERT_TRUE(mapped.ok());
  ASSERT_TRUE(RemoveAll(folder / "a").ok());
  EXPECT_EQ((*mapped)->bytes(), "some bytes");
}

TEST(MappedFile, OpensRegularFilesOnly) {
  TemporaryFolder folder;
  EXPECT_EQ(MappedFile::Open(folder / "none").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(MappedFile::Open(folder.path()).status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_EQ(mkfifo((folder / "pipe").c_str(), 0600), 0);
  EXPECT_EQ(MappedFile::Open(folder / "pipe").status().code(), absl::StatusCode::kInvalidArgument);
  ASSERT_TRUE(WriteFileDurably(folder / "empty", "").ok());
  auto empty = MappedFile::Open(folder / "empty");
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE((*empty)->bytes().empty());
}

}  // namespace
}  // namespace stockpot
