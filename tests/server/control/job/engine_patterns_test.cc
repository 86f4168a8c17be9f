// Jobs whose ingredients are patterns: looked for once, then like any other job.
#include "server/base/status.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using EnginePatterns = EngineTest;

Json PatternSpec(const std::string& pattern) {
  Json spec = FakeSpec({"/x"});
  spec["ingredients"] = Json::array({{{"uri_pattern", pattern}}});
  return spec;
}

std::vector<std::string> FoundUris(int count) {
  std::vector<std::string> uris;
  for (int i = 0; i < count; ++i) uris.push_back(absl::StrCat("/found-4/m0", i, ".safetensors"));
  return uris;
}

TEST_F(EnginePatterns, TheReportIsThatOfTheFilesNamedOneByOne) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FoundUris(4)))).ok());
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", PatternSpec("/found-4/*.safetensors"))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
  EXPECT_EQ(store_.GetJob("jobs/b")->state, JobState::kSucceeded) << store_.GetJob("jobs/b")->error;
  EXPECT_EQ(Report("jobs/a")["result"].dump(), Report("jobs/b")["result"].dump());
  EXPECT_EQ(Report("jobs/b")["result"]["ingredients"].size(), 4u);
}

TEST_F(EnginePatterns, WhatWasFoundStandsAfterARestart) {
  std::string looked_for;
  {
    auto server = Start(1);
    ASSERT_TRUE(
        server->engine->CreateJob(MakeJob("a", PatternSpec("/found-4/*.safetensors"))).ok());
    const auto open = server->pool->WaitForOpen(1);
    ASSERT_TRUE(open.has_value());
    ASSERT_EQ((*open)[0].assignment.task.kind(), "list_sources");
    looked_for = (*open)[0].assignment.task.key;
    server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));
    ASSERT_TRUE(server->pool->WaitUntil([&] {
      const auto given = server->pool->open();
      return !given.empty() && given[0].assignment.task.kind() != "list_sources";
    }));
  }
  auto server = Start(2);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(Report("jobs/a")["result"]["ingredients"].size(), 4u);
  for (const std::string& key : server->pool->assigned_keys()) EXPECT_NE(key, looked_for);
}

TEST_F(EnginePatterns, OneRequestIsOneJobHoweverOftenItIsSent) {
  auto server = Start(1);
  NewJob job = MakeJob("", PatternSpec("/found-3/*.safetensors"));
  job.request_id = "r";
  const absl::StatusOr<JobView> first = server->engine->CreateJob(job);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(server->pool->RunToEnd(first->record.name));
  const absl::StatusOr<JobView> again = server->engine->CreateJob(job);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->record.name, first->record.name);
  EXPECT_EQ(again->record.spec, job.spec) << "as it was given";
  job.spec = PatternSpec("/found-2/*.safetensors").dump();
  EXPECT_EQ(GetErrorFacts(server->engine->CreateJob(job).status()).reason, "JOB_EXISTS");
}

TEST_F(EnginePatterns, NothingThatMatchesFailsTheJobAndARetryLooksAgain) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", PatternSpec("/none/*.safetensors"))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const JobRecord job = *store_.GetJob("jobs/a");
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(GetErrorFacts(job.error).reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(GetErrorFacts(job.error).violations[0].field, "spec.ingredients[0].uri_pattern");
  const size_t before = server->pool->assigned_keys().size();
  ASSERT_TRUE(server->engine->RetryJob("jobs/a").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(server->pool->assigned_keys().size(), before + 1);
}

TEST_F(EnginePatterns, CountAsWhatTheyMatchOnceThatIsKnown) {
  Engine::Options options;
  options.limits.max_unfinished_ingredients_of_client = 5;
  auto server = Start(0, options);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(3)))).ok());
  NewJob urgent = MakeJob("b", PatternSpec("/found-4/*"));
  urgent.priority = 1;
  ASSERT_TRUE(server->engine->CreateJob(urgent).ok());
  ASSERT_TRUE(server->pool->Connect("w0").ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  ASSERT_EQ((*open)[0].assignment.task.kind(), "list_sources");
  server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));
  ASSERT_TRUE(server->pool->WaitUntil(
      [&] { return IsEnded(server->engine->GetJob("jobs/b")->record.state); }));
  const JobRecord refused = *store_.GetJob("jobs/b");
  EXPECT_EQ(refused.state, JobState::kFailed);
  EXPECT_EQ(GetErrorFacts(refused.error).reason, "TOO_MANY_INGREDIENTS");
  EXPECT_GT(GetErrorFacts(refused.error).retry_after, absl::ZeroDuration());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  ASSERT_TRUE(server->engine->RetryJob("jobs/b").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
  EXPECT_EQ(store_.GetJob("jobs/b")->state, JobState::kSucceeded) << "alone it has room";
}

TEST_F(EnginePatterns, AJobThatHasBegunGoesOnWhateverTheLimit) {
  {
    auto server = Start(1);
    ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", PatternSpec("/found-4/*"))).ok());
    ASSERT_EQ(server->pool->AnswerSome("jobs/a", 10), 10);
  }
  Engine::Options options;
  options.limits.max_unfinished_ingredients = 2;
  auto server = Start(1, options);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
}

}  // namespace
}  // namespace stockpot
