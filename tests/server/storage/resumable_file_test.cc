#include "server/storage/resumable_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "server/base/crc32c.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/cache_folder.h"
#include "tests/support/file_size_limit.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

class ResumableFileTest : public testing::Test {
 protected:
  std::unique_ptr<ResumableFile> Open() {
    auto file = ResumableFile::TryOpen(folder_ / "f.resume", folder_ / "f", nullptr);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }
  static void WritePart(const ResumableFile& file, uint64_t part, const std::string& bytes) {
    ASSERT_TRUE(file.WriteAt(bytes, file.BeginOf(part)).ok());
    ASSERT_TRUE(file.NotePart(part, Crc32c(bytes)).ok());
  }
  TemporaryFolder folder_;
};

TEST_F(ResumableFileTest, PartsStayUntilTheNextOneAndTheLayoutDecides) {
  {
    const auto file = Open();
    ASSERT_TRUE(file->LayOut(10, 4).ok());
    ASSERT_EQ(file->part_count(), 3u);
    EXPECT_EQ(file->EndOf(2), 10u);
    WritePart(*file, 2, "ij");
    WritePart(*file, 0, "abcd");
  }
  {
    const auto file = Open();
    ASSERT_TRUE(file->LayOut(10, 4).ok());
    EXPECT_TRUE(*file->HasPart(0));
    EXPECT_FALSE(*file->HasPart(1));
    EXPECT_TRUE(*file->HasPart(2));
    ASSERT_TRUE(file->WriteAt("x", 9).ok());
    EXPECT_FALSE(*file->HasPart(2)) << "its sum is another";
  }
  const auto file = Open();
  ASSERT_TRUE(file->LayOut(10, 5).ok());
  EXPECT_FALSE(*file->HasPart(0)) << "other parts, other content";
}

TEST_F(ResumableFileTest, OneHasItAtATimeAndTheNextFindsItFinished) {
  auto first = Open();
  EXPECT_EQ(Open(), nullptr);
  ASSERT_TRUE(first->LayOut(4, 4).ok());
  WritePart(*first, 0, "abcd");
  ASSERT_TRUE(first->Commit(4).ok());
  EXPECT_EQ(*ReadSmallFile(folder_ / "f", 100), "abcd");
  const auto second = Open();
  ASSERT_NE(second, nullptr) << "another file, the first one's name is taken";
  ASSERT_TRUE(second->LayOut(4, 4).ok());
  EXPECT_FALSE(*second->HasPart(0));
  second->Remove();
  EXPECT_FALSE(std::filesystem::exists(folder_ / "f.resume"));
  EXPECT_NE(Open(), nullptr) << "what was removed is nobody's, though it is open";
}

TEST_F(ResumableFileTest, AFullDiskIsFoundFirst) {
  const auto file = Open();
  const FileSizeLimit limit(1 << 20);
  const absl::Status status = file->LayOut(2 << 20, 1 << 20);
  EXPECT_FALSE(status.ok());
  EXPECT_LT(std::filesystem::file_size(folder_ / "f.resume"), size_t{2} << 20);
}

TEST_F(ResumableFileTest, EvictionTakesWhatWasLeftButNotWhatIsInUse) {
  const CacheFolder cache = *CacheFolder::Create(folder_ / "cache");
  const std::string used = std::string(64, 'a') + ".file", left = std::string(64, 'b') + ".file";
  const auto file = *cache.TryResume(used);
  ASSERT_TRUE(file->LayOut(1000, 1000).ok());
  ASSERT_TRUE((*cache.TryResume(left))->LayOut(1000, 1000).ok());
  cache.Evict(5000, "");
  EXPECT_TRUE(std::filesystem::exists(cache.PathOf(left) + ".resume"));
  cache.Evict(10, "");
  EXPECT_FALSE(std::filesystem::exists(cache.PathOf(left) + ".resume"));
  EXPECT_TRUE(std::filesystem::exists(cache.PathOf(used) + ".resume"));
}

}  // namespace
}  // namespace stockpot
