#include "server/worker/checkpoint/zip_archive.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/server/worker/checkpoint/checkpoint_files.h"
#include "tests/server/worker/checkpoint/zip_builder.h"

namespace stockpot {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

std::string ZipError(const std::string& bytes) {
  return Says(ZipArchive::Open(bytes, 10).status());
}

std::string ErrorWith(ZipFaults faults) {
  return ZipError(ZipBuilder().Add("r/first", "abc").Add("r/bad", "defg", faults).Build());
}

TEST(ZipArchive, FindsEntries) {
  const std::string bytes = ZipBuilder().Add("r/a", "abc").Add("r/b", "").Build();
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(bytes, 10);
  ASSERT_TRUE(archive.ok()) << archive.status();
  ASSERT_NE(archive->Find("r/a"), nullptr);
  EXPECT_EQ(archive->Find("r/a")->data, "abc");
  EXPECT_EQ(archive->Find("r/b")->data, "");
  EXPECT_EQ(archive->Find("r/c"), nullptr);
  EXPECT_TRUE(CheckSum(*archive->Find("r/a")).ok());
}

TEST(ZipArchive, ReadsSizesInZip64Fields) {
  const std::string bytes = ZipBuilder().Add("r/a", "abc", ZipFaults::Zip64Sizes()).Build();
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(bytes, 10);
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_EQ(archive->Find("r/a")->data, "abc");
}

TEST(ZipArchive, RefusesEncryptedEntries) {
  EXPECT_THAT(
      ErrorWith(ZipFaults::Flags(1)),
      AllOf(StartsWith("INVALID_ARGUMENT CHECKPOINT_INVALID"), HasSubstr("'r/bad' is encrypted")));
}

TEST(ZipArchive, ListsCompressedEntriesAndDoesNotReadThem) {
  const std::string bytes = ZipBuilder().Add("r/a", "abc", ZipFaults::Method(8)).Build();
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(bytes, 10);
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_THAT(Says(CheckStored(*archive->Find("r/a"))), HasSubstr("'r/a' is compressed"));
}

TEST(ZipArchive, RefusesLocalHeadersThatDiffer) {
  EXPECT_THAT(ErrorWith(ZipFaults::LocalName("r/BAD")), HasSubstr("'r/bad' has a local header"));
  EXPECT_THAT(ErrorWith(ZipFaults::LocalSizeMore(1)), HasSubstr("'r/bad' has a local header"));
}

TEST(ZipArchive, RefusesEntriesOutsideTheArchive) {
  EXPECT_THAT(ErrorWith(ZipFaults::OffsetMore(1u << 30)), HasSubstr("'r/bad' lies outside"));
}

TEST(ZipArchive, RefusesDuplicateNames) {
  EXPECT_THAT(ZipError(ZipBuilder().Add("r/a", "1").Add("r/a", "2").Build()),
              HasSubstr("'r/a' comes twice"));
}

TEST(ZipArchive, RefusesOverlappingEntries) {
  // The second entry's local header lies inside the data of the first.
  const std::string inner = ZipBuilder().Add("r/b", "x").Build();
  const std::string local = inner.substr(0, 30 + 3 + 1);
  const size_t first_header = 30 + 3;
  std::string bytes = ZipBuilder().Add("r/a", local + "tail").Add("r/b", "x").Build();
  // Point the central header of r/b at the copy.
  const size_t second_central = bytes.rfind("PK\x01\x02");
  const std::string offset = ZipBuilder::Number(static_cast<uint32_t>(first_header));
  bytes.replace(second_central + 42, 4, offset);
  EXPECT_THAT(ZipError(bytes), HasSubstr("'r/b' overlaps"));
}

TEST(ZipArchive, RefusesDirectoriesThatDoNotAddUp) {
  const ZipBuilder zip = ZipBuilder().Add("r/a", "1");
  EXPECT_THAT(ZipError(zip.Build(1)), HasSubstr("malformed"));
  EXPECT_THAT(ZipError(zip.Build(100)), HasSubstr("at most 10"));
  std::string with_gap = zip.Build();
  with_gap.insert(with_gap.size() - 22, "gap");
  EXPECT_THAT(ZipError(with_gap), HasSubstr("does not end at the zip end record"));
}

TEST(ZipArchive, SaysWhenTheFileWasCutShort) {
  const std::string bytes = ZipBuilder().Add("r/a", "1").Build();
  EXPECT_THAT(ZipError(bytes.substr(0, bytes.size() - 1)),
              StartsWith("DATA_LOSS CHECKPOINT_TRUNCATED"));
  EXPECT_THAT(ZipError(bytes + "trailing"), StartsWith("DATA_LOSS CHECKPOINT_TRUNCATED"));
}

TEST(ZipArchive, NoticesDamage) {
  const std::string bytes = ZipBuilder().Add("r/a", "abc", ZipFaults::CrcFlip(4)).Build();
  absl::StatusOr<ZipArchive> archive = ZipArchive::Open(bytes, 10);
  ASSERT_TRUE(archive.ok()) << archive.status();
  EXPECT_THAT(Says(CheckSum(*archive->Find("r/a"))), HasSubstr("CRC32"));
}

}  // namespace
}  // namespace stockpot
