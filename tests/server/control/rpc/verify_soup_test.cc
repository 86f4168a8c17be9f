#include "server/control/rpc/verify_soup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "server/base/files.h"
#include "server/base/status.h"
#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

const std::string kDigest(64, 'd');
const std::string kOther(64, 'e');

std::string Manifest(const std::string& uri) {
  const Json write = {
      {"blend", {{"ingredients", {{{"uri", uri}, {"digest", kDigest}}}}, {"dtype", "STORED"}}},
      {"metadata", {{"format", "pt"}}},
      {"format", "SAFETENSORS"},
      {"max_shard_bytes", "5000000000"}};
  const Json manifest = {
      {"manifest_version", 1},
      {"job", "jobs/a"},
      {"software", "stockpotd"},
      {"spec", Json::object()},
      {"soup",
       {{"write", write},
        {"content_digest", kDigest},
        {"files", {{{"file", "soup.safetensors"}, {"size_bytes", "7"}, {"sha256", kDigest}}}}}},
      {"files", Json::array()},
      {"result", Json::object()}};
  return DumpJson(manifest);
}

Fact SoupFact(const std::string& content_digest, const std::string& sha256) {
  Fact fact;
  fact.result = {
      {"soup",
       {{"files", {{{"file", "soup.safetensors"}, {"size_bytes", "7"}, {"sha256", sha256}}}},
        {"content_digest", content_digest}}}};
  return fact;
}

class VerifySoupTest : public RpcTest {
 protected:
  grpc::Status Verify(const std::string& name, const std::string& manifest) {
    v1::VerifySoupRequest request;
    if (!name.empty()) request.set_name(name);
    if (!manifest.empty()) request.set_manifest(manifest);
    response_.Clear();
    return Call(&v1::SoupService::Stub::VerifySoup, request, &response_);
  }
  void AnswerWith(Fact fact) {
    engine_.AnswerTasks([this, fact](const Task& task, std::function<void(const Fact&)> done) {
      {
        absl::MutexLock lock(&mutex_);
        task_ = task;
      }
      done(fact);
    });
  }

  Task AskedTask() {
    absl::MutexLock lock(&mutex_);
    return task_;
  }

  absl::Mutex mutex_;
  Task task_ ABSL_GUARDED_BY(mutex_);
  v1::VerifySoupResponse response_;
};

TEST_F(VerifySoupTest, ASoupThatComesOutTheSameIsIdentical) {
  AnswerWith(SoupFact(kDigest, kDigest));
  const grpc::Status status = Verify("", Manifest("/data/a.safetensors"));
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response_.identical());
  EXPECT_EQ(response_.expected_digest(), kDigest);
  EXPECT_EQ(response_.found_digest(), kDigest);
  ASSERT_EQ(response_.files_size(), 1) << "the soup's own files";
  EXPECT_EQ(response_.files(0).file(), "soup.safetensors");
  EXPECT_EQ(response_.files(0).found_sha256(), kDigest);
  EXPECT_EQ(AskedTask().kind(), "write_soup");
  EXPECT_EQ(AskedTask().body["write_soup"]["discard"], true);
}

TEST_F(VerifySoupTest, OtherWeightsOtherFilesAndMissingFilesAreNot) {
  Fact more = SoupFact(kDigest, kDigest);
  more.result["soup"]["files"].push_back(
      {{"file", "soup-2"}, {"size_bytes", "1"}, {"sha256", kOther}});
  Fact none = SoupFact(kDigest, kDigest);
  none.result["soup"]["files"] = Json::array();
  const std::pair<const char*, Fact> cases[] = {
      {"weights", SoupFact(kOther, kDigest)},
      {"a file", SoupFact(kDigest, kOther)},
      {"one file more", more},
      {"one file less", none},
  };
  for (const auto& [name, fact] : cases) {
    AnswerWith(fact);
    ASSERT_TRUE(Verify("", Manifest("/data/a.safetensors")).ok()) << name;
    EXPECT_FALSE(response_.identical()) << name;
    EXPECT_GE(response_.files_size(), 1) << name;
  }
}

TEST_F(VerifySoupTest, AJobIsVerifiedFromItsOwnManifest) {
  engine_.artifact_root = folder_.path();
  PutJob("jobs/a", JobState::kSucceeded);
  AnswerWith(SoupFact(kDigest, kDigest));
  EXPECT_EQ(ClientError(Verify("jobs/a", "")).info.reason(), "ARTIFACT_NOT_FOUND");
  ASSERT_TRUE(MakeFolders(folder_ / "jobs/a").ok());
  ASSERT_TRUE(
      WriteFileDurably(folder_ / "jobs/a/manifest.json", Manifest("/data/a.safetensors")).ok());
  const grpc::Status status = Verify("jobs/a", "");
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(response_.identical());
}

TEST_F(VerifySoupTest, AJobWithoutASoupIsRefused) {
  const std::pair<JobState, const char*> cases[] = {{JobState::kRunning, "JOB_NOT_ENDED"},
                                                    {JobState::kSuspended, "JOB_NOT_ENDED"},
                                                    {JobState::kFailed, "JOB_ENDED"},
                                                    {JobState::kCancelled, "JOB_ENDED"}};
  for (const auto& [state, reason] : cases) {
    PutJob("jobs/a", state);
    const grpc::Status status = Verify("jobs/a", "");
    EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION) << JobStateName(state);
    EXPECT_EQ(ClientError(status).info.reason(), reason) << JobStateName(state);
  }
  EXPECT_EQ(ClientError(Verify("jobs/none", "")).info.reason(), "JOB_NOT_FOUND");
  EXPECT_EQ(ClientError(Verify("../a", "")).info.reason(), "INVALID_FIELD");
  EXPECT_EQ(ClientError(Verify("", "")).info.reason(), "INVALID_FIELD");
}

TEST_F(VerifySoupTest, AManifestThatIsNoneIsRefused) {
  for (const std::string& manifest : {std::string("x"), std::string("[]"), std::string("{}"),
                                      std::string(1000, '['), Manifest("/data/a").substr(0, 200)}) {
    const grpc::Status status = Verify("", manifest);
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << manifest;
    EXPECT_EQ(ClientError(status).info.reason(), "MANIFEST_INVALID") << manifest;
  }
}

TEST_F(VerifySoupTest, AManifestOpensNoFileThatAJobCouldNot) {
  const grpc::Status status = Verify("", Manifest("/etc/passwd"));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ClientError(status).info.reason(), "PATH_NOT_ALLOWED");
  EXPECT_THAT(status.error_message(), HasSubstr("/etc/passwd"));
}

TEST_F(VerifySoupTest, GivesTheTasksError) {
  Fact fact;
  fact.status = WithMetadata(
      WithReason(absl::FailedPreconditionError("other weights now"), "CHECKPOINT_CHANGED"),
      "ingredient", "/data/a");
  AnswerWith(fact);
  const ClientError error(Verify("", Manifest("/data/a")));
  EXPECT_EQ(error.info.reason(), "CHECKPOINT_CHANGED");
  EXPECT_EQ(error.info.metadata().at("ingredient"), "/data/a");
}

}  // namespace
}  // namespace stockpot
