// Workers and servers that die: what it costs, and what it does not.
#include <algorithm>
#include <map>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using EngineCrash = EngineTest;

std::vector<std::string> With(const std::vector<std::string>& keys, const std::string& prefix) {
  std::vector<std::string> found;
  for (const std::string& key : keys) {
    if (absl::StartsWith(key, prefix)) found.push_back(key);
  }
  return found;
}

TEST_F(EngineCrash, AWorkerLostMidTaskCostsThatAttempt) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(4)))).ok());
  const auto open = server->pool->WaitForOpen(2);
  ASSERT_TRUE(open.has_value());
  const std::string lost = (*open)[0].assignment.task.key;
  server->pool->Kill((*open)[0].worker);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const JobRecord job = *store_.GetJob("jobs/a");
  EXPECT_EQ(job.state, JobState::kSucceeded) << job.error;
  const std::vector<std::string> attempts = With(EventKeys("jobs/a"), "attempt/");
  ASSERT_EQ(attempts.size(), 1u);
  EXPECT_TRUE(absl::StrContains(attempts[0], lost));
  EXPECT_EQ(Report("jobs/a")["cost"]["failed_attempts"], 1);
  const std::vector<std::string> keys = server->pool->assigned_keys();
  EXPECT_EQ(std::count(keys.begin(), keys.end(), lost), 2);
}

TEST_F(EngineCrash, TwoCrashesOfATaskQuarantineItsJob) {
  auto server = Start(0);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec({"/m0", "/killer", "/m2"}))).ok());
  ASSERT_TRUE(server->pool->Connect("w0").ok());
  int crashes = 0;
  auto is_killer = [](const Task& task) {
    return task.kind() == "inspect_checkpoint" &&
           task.body["inspect_checkpoint"]["uri"] == "/killer";
  };
  for (int i = 0; i < 100 && !IsEnded(store_.GetJob("jobs/a")->state); ++i) {
    ASSERT_TRUE(server->pool->WaitUntil(
        [&] { return !server->pool->open().empty() || IsEnded(store_.GetJob("jobs/a")->state); }));
    for (const ScriptedPool::Given& given : server->pool->open()) {
      if (is_killer(given.assignment.task)) {
        server->pool->Kill(given.worker);
        ++crashes;
        ASSERT_TRUE(server->pool->Connect(absl::StrCat("again", i)).ok());
      } else {
        server->pool->Answer(given, FakeResult(given.assignment.task));
      }
    }
  }
  EXPECT_EQ(crashes, 2);
  const JobRecord job = *store_.GetJob("jobs/a");
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(job.error.code(), absl::StatusCode::kInternal);
  const ErrorFacts facts = GetErrorFacts(job.error);
  EXPECT_EQ(facts.reason, "WORKER_CRASHED");
  EXPECT_EQ(facts.metadata.at("ingredient"), "killer");
  ASSERT_EQ(facts.violations.size(), 1u);
  EXPECT_EQ(facts.violations[0].field, "spec.ingredients[1]");
  // The server goes on, and a retry starts with a clean slate.
  ASSERT_TRUE(server->engine->RetryJob("jobs/a").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
}

TEST_F(EngineCrash, ATaskThatCrashesIsSkippedWhereBadIngredientsAre) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine
                  ->CreateJob(MakeJob(
                      "a", FakeSpec({"/m0", "/killer", "/m2"}, {{"on_bad_ingredient", "SKIP"}})))
                  .ok());
  for (int i = 0; i < 1000 && !IsEnded(store_.GetJob("jobs/a")->state); ++i) {
    ASSERT_TRUE(server->pool->WaitUntil(
        [&] { return !server->pool->open().empty() || IsEnded(store_.GetJob("jobs/a")->state); }));
    for (const ScriptedPool::Given& given : server->pool->open()) {
      if (absl::StrContains(given.assignment.task.description, "killer")) {
        server->pool->Kill(given.worker);
        ASSERT_TRUE(server->pool->Connect(absl::StrCat("again", i)).ok());
      } else {
        server->pool->Answer(given, FakeResult(given.assignment.task));
      }
    }
  }
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_TRUE(absl::StrContains(
      Report("jobs/a")["result"]["ingredients"][1]["skipped_because"].get<std::string>(),
      "worker died"));
}

TEST_F(EngineCrash, TransientErrorsAreAttemptsNotFacts) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  Fact fact;
  fact.status = absl::ResourceExhaustedError("out of memory");
  server->pool->Answer((*open)[0], fact);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_EQ(With(EventKeys("jobs/a"), "attempt/").size(), 1u);
}

// Of one that leaves. From any other worker it is a failed attempt.
Fact HandedBackFact() {
  Fact fact;
  fact.status = WithReason(absl::CancelledError("its worker is stopped"), "HANDED_BACK");
  return fact;
}

TEST_F(EngineCrash, AWorkerThatLeavesGetsNothingMoreAndMayHandItsTaskBack) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(3)))).ok());
  auto open = server->pool->WaitForOpen(2);
  ASSERT_TRUE(open.has_value());
  const size_t of_w0 = (*open)[0].worker == "w0" ? 0 : 1;
  server->engine->WorkerLeaving("w0");
  EXPECT_TRUE(server->pool->shut_down().empty()) << "it may finish";
  server->pool->Answer((*open)[of_w0], HandedBackFact());
  ASSERT_TRUE(server->pool->WaitUntil([&] { return server->pool->shut_down().size() == 1; }));
  EXPECT_EQ(server->pool->shut_down()[0], "w0");
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_TRUE(With(EventKeys("jobs/a"), "attempt/").empty()) << "that says nothing of the task";
  for (const auto& given : server->pool->open()) EXPECT_NE(given.worker, "w0");
}

TEST_F(EngineCrash, AnIdleWorkerThatLeavesIsShutDownAtOnce) {
  auto server = Start(1);
  server->engine->WorkerLeaving("w0");
  server->engine->WorkerLeaving("w0");
  server->engine->WorkerLeaving("of another server");
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !server->pool->shut_down().empty(); }));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  EXPECT_EQ((*open)[0].worker, "w1");
  EXPECT_EQ(server->pool->shut_down().size(), 1u);
}

TEST_F(EngineCrash, HandingBackWithoutLeavingIsAFailedAttempt) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  server->pool->Answer((*open)[0], HandedBackFact());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(With(EventKeys("jobs/a"), "attempt/").size(), 1u);
}

TEST_F(EngineCrash, ASilentWorkerIsShutDownAndItsTaskGivenToAnother) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  // Heartbeats keep it.
  for (int i = 0; i < 3; ++i) {
    clock_.Advance(absl::Seconds(20));
    server->engine->WorkerProgress("w0", (*open)[0].assignment.id, 1);
  }
  EXPECT_TRUE(server->pool->shut_down().empty());
  clock_.Advance(absl::Seconds(31));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !server->pool->shut_down().empty(); }));
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  ASSERT_TRUE(server->pool->WaitForOpen(2).has_value());
  // What the hung one says now is of no interest.
  server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_EQ(With(EventKeys("jobs/a"), "attempt/").size(), 1u);
}

TEST_F(EngineCrash, ResultsOfEarlierAssignmentsAreIgnored) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  Fact lie = FakeResult((*open)[0].assignment.task);
  lie.status = absl::InternalError("a lie");
  server->engine->WorkerResult("w0", (*open)[0].assignment.task.key + "/999", lie);
  server->engine->WorkerResult("stranger", (*open)[0].assignment.id, lie);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
}

// Stops the server after every number of facts and starts another on what it left: no fact is
// made twice, events are gapless, each once, and the result is the same.
TEST_F(EngineCrash, ARestartAtEveryFactRepeatsNothingAndChangesNothing) {
  const Json spec = FakeSpec(FakeUris(5), {{"compute", {{"speculation", 1}}}});
  std::string expected;
  std::vector<std::string> expected_events;
  size_t facts = 0;
  {
    auto server = Start(1);
    ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
    ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
    expected = Report("jobs/a")["result"].dump();
    expected_events = EventKeys("jobs/a");
    std::sort(expected_events.begin(), expected_events.end());
    facts = store_.fact_count();
  }
  ASSERT_GT(facts, 15u);
  for (size_t stop = 0; stop <= facts; ++stop) {
    MemoryStore store;
    std::map<std::string, int> answered;
    auto count = [&](const ScriptedPool& pool, size_t unfinished) {
      std::vector<std::string> keys = const_cast<ScriptedPool&>(pool).assigned_keys();
      keys.resize(keys.size() - unfinished);
      for (const std::string& key : keys) ++answered[key];
    };
    {
      Server server(&store, &clock_, log_.get(), &observer_, folder_.path());
      ASSERT_TRUE(server.pool->Connect("w0").ok());
      ASSERT_TRUE(server.engine->CreateJob(MakeJob("a", spec)).ok());
      ASSERT_EQ(server.pool->AnswerSome("jobs/a", static_cast<int>(stop)), static_cast<int>(stop));
      // The last answer may be stored or not, and the next task given or not.
      server.engine->Stop();
      count(*server.pool, server.pool->open().size());
    }
    Server server(&store, &clock_, log_.get(), &observer_, folder_.path());
    ASSERT_TRUE(server.pool->Connect("w0").ok());
    ASSERT_TRUE(server.pool->RunToEnd("jobs/a"));
    count(*server.pool, 0);
    const JobRecord job = *store.GetJob("jobs/a");
    ASSERT_EQ(job.state, JobState::kSucceeded) << job.error;
    EXPECT_EQ(Json::parse(job.report)["result"].dump(), expected) << "stopped after " << stop;
    for (const auto& [key, times] : answered) EXPECT_EQ(times, 1) << key;
    std::vector<std::string> events;
    const std::vector<EventRecord> all_events = *store.ReadEvents("jobs/a", 0, 100000);
    for (const EventRecord& event : all_events) {
      ASSERT_EQ(event.sequence, static_cast<int64_t>(events.size()) + 1);
      EXPECT_FALSE(absl::StrContains(event.body, "reused")) << "of this job's own fact";
      events.push_back(event.key);
    }
    std::sort(events.begin(), events.end());
    auto without_numbers = [](std::vector<std::string> keys) {
      for (std::string& key : keys) {
        if (absl::StartsWith(key, "state/")) key.resize(key.rfind('/'));
      }
      return keys;
    };
    EXPECT_EQ(without_numbers(events), without_numbers(expected_events));
  }
}

TEST_F(EngineCrash, ClaimsOfADeadServerAreTakenOverWhenTheirLeaseEnds) {
  const Task task = InspectArchitectureTask(
      absl::StrCat("jobs/a@", absl::ToUnixMicros(clock_.Now())), "/models/architecture.pt");
  ASSERT_TRUE(
      store_.ClaimTask("jobs/a", task, "dead", clock_.Now(), clock_.Now() + absl::Seconds(30))
          .ok());
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  // Everything else goes on meanwhile.
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 4), 4);
  clock_.Advance(absl::Seconds(31));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
}

TEST_F(EngineCrash, AFullDiskSuspendsTheJobAndLosesNothing) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(3)))).ok());
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 3), 3);
  ASSERT_TRUE(server->pool->WaitForOpen(1).has_value());
  store_.FailWrites(WithReason(absl::ResourceExhaustedError("full"), "DISK_FULL"));
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 1), 1);
  ASSERT_TRUE(server->pool->WaitUntil(
      [&] { return server->engine->GetJob("jobs/a")->record.state == JobState::kSuspended; }));
  EXPECT_EQ(server->engine->GetJob("jobs/a")->record.suspend_reason, "DISK_FULL");
  ASSERT_TRUE(server->pool->WaitUntil([&] { return observer_.counts().jobs.suspended == 1; }));
  EXPECT_EQ(observer_.counts().jobs.running, 0);
  clock_.Advance(absl::Seconds(6));  // tries again, in vain
  store_.FailWrites(absl::OkStatus());
  ASSERT_TRUE(server->pool->WaitUntil([&] {
    clock_.Advance(absl::Seconds(6));
    return server->engine->GetJob("jobs/a")->record.state == JobState::kRunning;
  }));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  const std::vector<std::string> keys = server->pool->assigned_keys();
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
}

}  // namespace
}  // namespace stockpot
