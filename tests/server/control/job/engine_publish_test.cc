// Jobs whose artifacts go to an object store: a worker copies them, then the job ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/base/files.h"
#include "server/base/status.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class EnginePublishTest : public EngineTest {
 protected:
  static NewJob PublishedJob(const std::string& id) {
    NewJob job = MakeJob(id, FakeSpec(FakeUris(2)));
    job.output_folder = "s3://soups/" + id;
    return job;
  }
  // Answers all but the copying, which is left open.
  static ScriptedPool::Given RunToPublishing(Server* server) {
    while (true) {
      const auto open = server->pool->WaitForOpen(1);
      EXPECT_TRUE(open.has_value());
      if (!open.has_value()) return {};
      const Task& task = open->front().assignment.task;
      if (task.kind() == "publish_artifacts") return open->front();
      server->pool->Answer(open->front(), FakeResult(task));
    }
  }
  static Fact Failure(absl::Status status) {
    Fact fact;
    fact.status = std::move(status);
    return fact;
  }
  static Fact Busy() { return Failure(absl::UnavailableError("no answer")); }
  JobState StateOf(const std::string& job) { return store_.GetJob(job)->state; }
  static bool Ends(Server* server, const std::string& job) {
    return server->pool->WaitUntil(
        [&] { return IsEnded(server->engine->GetJob(job)->record.state); });
  }
};

TEST_F(EnginePublishTest, TheJobEndsWhenAllIsThere) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  const auto given = RunToPublishing(server.get());
  const Json& task = given.assignment.task.body["publish_artifacts"];
  EXPECT_EQ(task["folder"], folder_ / "a");
  EXPECT_EQ(task["output_uri"], "s3://soups/a");
  EXPECT_EQ(task["job"], "jobs/a");
  EXPECT_THAT(task["files"],
              ElementsAre("soup.safetensors", "report.json", "README.md", "manifest.json"))
      << "the manifest is the last";
  for (const char* file : {"report.json", "README.md", "manifest.json"}) {
    EXPECT_TRUE(ReadSmallFile(folder_ / (std::string("a/") + file), 1 << 20).ok()) << file;
  }
  EXPECT_EQ(StateOf("jobs/a"), JobState::kRunning);
  server->pool->Answer(given, FakeResult(given.assignment.task));
  ASSERT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kSucceeded);
  EXPECT_GT(store_.GetJob("jobs/a")->artifact_bytes, 0) << "they are kept here, too";
  ASSERT_TRUE(server->engine->DeleteJob("jobs/a").ok());
  EXPECT_FALSE(ReadSmallFile(folder_ / "a/manifest.json", 1 << 20).ok());
}

TEST_F(EnginePublishTest, WhatFailsForTheMomentIsTriedAgainAndThenSaid) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  server->pool->Answer(RunToPublishing(server.get()), Busy());
  const auto again = RunToPublishing(server.get());
  server->pool->Answer(again, FakeResult(again.assignment.task));
  ASSERT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kSucceeded);

  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("b")).ok());
  server->pool->Answer(RunToPublishing(server.get()), Busy());
  server->pool->Answer(RunToPublishing(server.get()), Busy());
  ASSERT_TRUE(Ends(server.get(), "jobs/b"));
  EXPECT_EQ(StateOf("jobs/b"), JobState::kFailed);
  EXPECT_THAT(std::string(store_.GetJob("jobs/b")->error.message()),
              HasSubstr("output_uri: no answer"));
  // Nothing is measured again.
  ASSERT_TRUE(server->engine->RetryJob("jobs/b").ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ(open->front().assignment.task.kind(), "publish_artifacts");
  server->pool->Answer(open->front(), FakeResult(open->front().assignment.task));
  ASSERT_TRUE(Ends(server.get(), "jobs/b"));
  EXPECT_EQ(StateOf("jobs/b"), JobState::kSucceeded);
}

TEST_F(EnginePublishTest, ARefusalFailsTheJob) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  server->pool->Answer(
      RunToPublishing(server.get()),
      Failure(WithReason(absl::AlreadyExistsError("another job's"), "OUTPUT_EXISTS")));
  ASSERT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kFailed);
  EXPECT_EQ(GetErrorFacts(store_.GetJob("jobs/a")->error).reason, "OUTPUT_EXISTS");
}

TEST_F(EnginePublishTest, AWorkerThatDiesIsFollowedByAnother) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  server->pool->Kill(RunToPublishing(server.get()).worker);
  ASSERT_TRUE(server->pool->Connect("another").ok());
  const auto again = RunToPublishing(server.get());
  server->pool->Answer(again, FakeResult(again.assignment.task));
  ASSERT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kSucceeded);
}

TEST_F(EnginePublishTest, CancellingEndsTheCopying) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  const auto given = RunToPublishing(server.get());
  ASSERT_TRUE(server->engine->CancelJob("jobs/a").ok());
  EXPECT_TRUE(server->pool->WaitUntil([&] { return !server->pool->cancelled().empty(); }));
  server->pool->Answer(given, Failure(absl::CancelledError("as told")));
  EXPECT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kCancelled);
}

TEST_F(EnginePublishTest, AnotherServerCopiesWhatOneLeft) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  RunToPublishing(server.get());
  server.reset();
  EXPECT_EQ(StateOf("jobs/a"), JobState::kRunning);
  server = Start(1);
  const auto again = RunToPublishing(server.get());
  server->pool->Answer(again, FakeResult(again.assignment.task));
  ASSERT_TRUE(Ends(server.get(), "jobs/a"));
  EXPECT_EQ(StateOf("jobs/a"), JobState::kSucceeded);
}

TEST_F(EnginePublishTest, TwoUnfinishedJobsHaveTwoPlaces) {
  const auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(PublishedJob("a")).ok());
  NewJob other = PublishedJob("b");
  other.output_folder = "s3://soups/a";
  EXPECT_EQ(GetErrorFacts(server->engine->CreateJob(other).status()).reason, "OUTPUT_EXISTS");
}

}  // namespace
}  // namespace stockpot
