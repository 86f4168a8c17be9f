#include "client/cli/download.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/part_file.h"
#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string ReadFile(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

constexpr char kContent[] = "The proof of the pudding";

class DownloadTest : public testing::Test {
 protected:
  DownloadTest() {
    client_.service.AddFile("soup.safetensors", kContent);
    std::filesystem::create_directories(out_);
  }
  ClientHarness::Outcome Download() { return client_.Run({"download", "x", "--out", out_}); }
  void ExpectWhole(const ClientHarness::Outcome& outcome) {
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    EXPECT_EQ(ReadFile(soup_), kContent);
    EXPECT_FALSE(std::filesystem::exists(soup_ + ".part"));
  }

  ClientHarness client_;
  const std::string out_ = client_.folder / "out";
  const std::string soup_ = out_ + "/soup.safetensors";
};

TEST(Crc32c, IsCastagnoli) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
}

TEST_F(DownloadTest, BringsEveryFileAndSaysWhere) {
  client_.service.AddFile("folder/report.json", "{}");
  client_.service.AddFile("empty", "");
  const auto outcome = Download();
  ExpectWhole(outcome);
  EXPECT_EQ(ReadFile(out_ + "/folder/report.json"), "{}");
  EXPECT_TRUE(std::filesystem::exists(out_ + "/empty"));
  EXPECT_THAT(outcome.out, HasSubstr("saved " + soup_ + " (24 B)\n"));
}

TEST_F(DownloadTest, BringsOnlyTheFileAskedFor) {
  client_.service.AddFile("report.json", "{}");
  EXPECT_EQ(client_.Run({"download", "jobs/x", "-o", out_, "--file", "report.json"}).code, 0);
  EXPECT_FALSE(std::filesystem::exists(soup_));
  const auto outcome = client_.Run({"download", "x", "-o", out_, "--file", "none"});
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("jobs/x has no file 'none'"));
}

TEST_F(DownloadTest, DoesNotFetchWhatIsThere) {
  ExpectWhole(Download());
  ExpectWhole(Download());
  EXPECT_EQ(client_.service.download_offsets().size(), 1u);
}

TEST_F(DownloadTest, AsksAgainForADamagedChunk) {
  client_.service.damaged_streams = 2;
  ExpectWhole(Download());
  EXPECT_THAT(client_.service.download_offsets(), ElementsAre(0, 0, 0));
}

TEST_F(DownloadTest, GivesUpOnChunksThatAlwaysComeDamaged) {
  client_.service.damaged_streams = 100;
  const auto outcome = Download();
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.error, HasSubstr("the chunk at byte 0 came damaged"));
  EXPECT_FALSE(std::filesystem::exists(soup_));
}

TEST_F(DownloadTest, GoesOnWhereThePartFileEnds) {
  std::ofstream(soup_ + ".part") << "The proof";
  ExpectWhole(Download());
  EXPECT_THAT(client_.service.download_offsets(), ElementsAre(9));
}

TEST_F(DownloadTest, GoesOnAfterALostConnection) {
  client_.service.break_after = 8;
  const auto outcome = Download();
  ExpectWhole(outcome);
  EXPECT_THAT(client_.service.download_offsets(), ElementsAre(0, 8));
  EXPECT_THAT(outcome.error, HasSubstr("connection lost"));
}

TEST_F(DownloadTest, APartFileOfAnotherSoupIsThrownAway) {
  std::ofstream(soup_ + ".part") << "Too many cooks";
  ExpectWhole(Download());
  EXPECT_THAT(client_.service.download_offsets(), ElementsAre(14, 0));
}

TEST_F(DownloadTest, APartFileThatIsTooLongIsThrownAway) {
  std::ofstream(soup_ + ".part") << std::string(100, 'x');
  ExpectWhole(Download());
}

TEST_F(DownloadTest, ContentThatIsNotThePromisedSoupIsRefused) {
  client_.service.files["soup.safetensors"] = "The proof of the puddinG";
  const auto outcome = Download();
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.error, HasSubstr("have SHA-256"));
  EXPECT_FALSE(std::filesystem::exists(soup_));
  EXPECT_FALSE(std::filesystem::exists(soup_ + ".part"));
}

TEST_F(DownloadTest, AServerCannotWriteOutsideTheFolder) {
  client_.service.AddFile("../escaped", "x");
  const auto outcome = Download();
  EXPECT_EQ(outcome.code, 5);
  EXPECT_THAT(outcome.error, HasSubstr("outside the folder"));
  EXPECT_FALSE(std::filesystem::exists(client_.folder / "escaped"));
}

TEST_F(DownloadTest, AJobWithoutFilesSaysWhy) {
  client_.service.job.clear_artifacts();
  client_.service.job.set_state(v1::Job::RUNNING);
  const auto outcome = Download();
  EXPECT_EQ(outcome.code, 2);
  EXPECT_THAT(outcome.error, HasSubstr("jobs/x has no files: it is RUNNING"));
}

TEST_F(DownloadTest, TwoDownloadsOfOneFileDoNotMix) {
  const auto first = PartFile::Open(soup_, 24);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(PartFile::Open(soup_, 24).status().code(), absl::StatusCode::kAborted);
}

}  // namespace
}  // namespace stockpot::cli
