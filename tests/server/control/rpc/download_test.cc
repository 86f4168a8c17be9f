#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/crc32c.h"
#include "server/base/digest.h"
#include "server/control/rpc/download_stream.h"
#include "tests/server/control/rpc/rpc_fixture.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

TEST(Crc32c, IsCastagnolis) {
  EXPECT_EQ(Crc32c("123456789"), 0xE3069283u);
  EXPECT_EQ(Crc32c(""), 0u);
  EXPECT_EQ(Crc32c(std::string(32, '\0')), 0x8A9136AAu);  // RFC 3720, B.4
}

class Download : public RpcTest {
 protected:
  Download() {
    content_.resize(2 * DownloadStream::kChunkBytes + 12345);
    for (size_t i = 0; i < content_.size(); ++i) content_[i] = static_cast<char>(i * 31 + i / 257);
    engine_.artifact_root = folder_.path();
    std::filesystem::create_directories(folder_ / "jobs/a");
    PutArtifact("soup.safetensors", content_);
    std::ofstream(folder_ / "secret") << "secret";
  }

  // Writes the file and makes it the job's only artifact.
  void PutArtifact(const std::string& file, const std::string& content) {
    std::ofstream(folder_ / ("jobs/a/" + file)) << content;
    ListArtifact(file, content.size(), Sha256Hex(content));
  }

  void ListArtifact(const std::string& file, size_t size, const std::string& sha256) {
    JobRecord record = PutJob("jobs/a", JobState::kSucceeded);
    const Json list = {{{"file", file}, {"size_bytes", size}, {"sha256", sha256}}};
    record.artifacts = list.dump();
    engine_.PutJob(record);
  }

  struct Received {
    grpc::Status status;
    std::vector<v1::ArtifactChunk> chunks;
    std::string data;
  };

  Received Get(const v1::DownloadArtifactRequest& request) {
    Received received;
    grpc::ClientContext context;
    auto stream = stub_->DownloadArtifact(&context, request);
    v1::ArtifactChunk chunk;
    while (stream->Read(&chunk)) {
      EXPECT_LE(chunk.data().size(), static_cast<size_t>(DownloadStream::kChunkBytes));
      EXPECT_EQ(chunk.crc32c(), Crc32c(chunk.data()));
      EXPECT_EQ(chunk.offset(), request.offset() + static_cast<int64_t>(received.data.size()));
      EXPECT_EQ(chunk.has_artifact(), received.chunks.empty());
      received.data += chunk.data();
      received.chunks.push_back(chunk);
    }
    received.status = stream->Finish();
    return received;
  }

  v1::DownloadArtifactRequest Request(int64_t offset = 0, int64_t limit = 0) {
    v1::DownloadArtifactRequest request;
    request.set_name("jobs/a");
    request.set_file("soup.safetensors");
    request.set_offset(offset);
    request.set_limit(limit);
    return request;
  }

  TemporaryFolder folder_;
  std::string content_;
};

TEST_F(Download, GivesTheFileInCheckedChunks) {
  v1::DownloadArtifactRequest request = Request();
  request.set_expected_sha256(Sha256Hex(content_));
  const Received received = Get(request);
  ASSERT_TRUE(received.status.ok()) << received.status.error_message();
  EXPECT_TRUE(received.data == content_);
  EXPECT_EQ(received.chunks.size(), 3u);
  EXPECT_EQ(received.chunks[0].artifact().size_bytes(), static_cast<int64_t>(content_.size()));
  EXPECT_EQ(received.chunks[0].artifact().sha256(), Sha256Hex(content_));
}

TEST_F(Download, ResumesAtAnyOffsetAndStopsAtTheLimit) {
  const auto size = static_cast<int64_t>(content_.size());
  for (int64_t offset : {int64_t{0}, int64_t{1}, DownloadStream::kChunkBytes, size - 1, size}) {
    for (int64_t limit : {int64_t{0}, int64_t{1}, DownloadStream::kChunkBytes + 7, 2 * size}) {
      const Received received = Get(Request(offset, limit));
      ASSERT_TRUE(received.status.ok()) << received.status.error_message();
      EXPECT_TRUE(received.data ==
                  content_.substr(static_cast<size_t>(offset),
                                  limit == 0 ? std::string::npos : static_cast<size_t>(limit)))
          << offset << " " << limit;
      EXPECT_FALSE(received.chunks.empty());
    }
  }
}

TEST_F(Download, GivesAnEmptyFile) {
  PutArtifact("empty", "");
  v1::DownloadArtifactRequest request = Request();
  request.set_file("empty");
  const Received received = Get(request);
  EXPECT_TRUE(received.status.ok());
  ASSERT_EQ(received.chunks.size(), 1u);
  EXPECT_EQ(received.chunks[0].artifact().size_bytes(), 0);
}

TEST_F(Download, RefusesOffsetsOutsideTheFile) {
  EXPECT_EQ(Get(Request(static_cast<int64_t>(content_.size()) + 1)).status.error_code(),
            grpc::StatusCode::OUT_OF_RANGE);
  EXPECT_THAT(ClientError(Get(Request(-1)).status).fields(), testing::ElementsAre("offset"));
  EXPECT_THAT(ClientError(Get(Request(0, -1)).status).fields(), testing::ElementsAre("limit"));
}

TEST_F(Download, RefusesAnotherFileThanThePinnedOne) {
  v1::DownloadArtifactRequest request = Request();
  request.set_expected_sha256(std::string(64, '0'));
  const Received received = Get(request);
  EXPECT_EQ(received.status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_EQ(ClientError(received.status).info.reason(), "ARTIFACT_CHANGED");
}

TEST_F(Download, NoticesAFileThatIsNotTheOneThatWasListed) {
  ListArtifact("soup.safetensors", content_.size() + 1, "x");
  EXPECT_EQ(ClientError(Get(Request()).status).info.reason(), "ARTIFACT_CHANGED");
  ListArtifact("gone", 1, "x");
  v1::DownloadArtifactRequest request = Request();
  request.set_file("gone");
  EXPECT_EQ(ClientError(Get(request).status).info.reason(), "ARTIFACT_NOT_FOUND");
}

// Attacks: nothing but a listed name is opened, and a list that names other files does not help.
TEST_F(Download, OpensNothingOutsideTheJobsFolder) {
  for (const std::string file :
       {"", "..", "../../secret", "/etc/passwd", "./soup.safetensors", "a//b", "nope"}) {
    v1::DownloadArtifactRequest request = Request();
    request.set_file(file);
    EXPECT_EQ(ClientError(Get(request).status).info.reason(), "ARTIFACT_NOT_FOUND") << file;
    if (file == "nope") continue;
    ListArtifact(file, 6, "x");
    EXPECT_EQ(ClientError(Get(request).status).info.reason(), "ARTIFACT_NOT_FOUND") << file;
  }
  std::filesystem::create_symlink(folder_ / "secret", folder_ / "jobs/a/link");
  ListArtifact("link", 6, "x");
  v1::DownloadArtifactRequest request = Request();
  request.set_file("link");
  EXPECT_EQ(ClientError(Get(request).status).info.reason(), "ARTIFACT_NOT_FOUND");
}

TEST_F(Download, SaysThatAnUnfinishedJobHasNone) {
  PutJob("jobs/a", JobState::kRunning);
  EXPECT_EQ(ClientError(Get(Request()).status).info.reason(), "ARTIFACT_NOT_FOUND");
}

}  // namespace
}  // namespace stockpot
