// Jobs as clients see them: creating, sharing, priorities, cancelling, watching, deleting.
#include <algorithm>
#include <atomic>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

using EngineJobs = EngineTest;

std::string ReasonOf(const absl::Status& status) { return GetErrorFacts(status).reason; }

TEST_F(EngineJobs, TwoJobsShareFactsWhetherDoneOrRunning) {
  auto server = Start(3);
  const Json spec = FakeSpec(FakeUris(5));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a", 3));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b", 4));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("c", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/c", 5));

  EXPECT_EQ(Report("jobs/a")["result"].dump(), Report("jobs/b")["result"].dump());
  EXPECT_EQ(Report("jobs/a")["result"].dump(), Report("jobs/c")["result"].dump());
  const std::vector<std::string> keys = server->pool->assigned_keys();
  const std::vector<std::string> gone = server->pool->cancelled();
  for (const std::string& key : keys) {
    const bool cancelled = std::any_of(
        gone.begin(), gone.end(), [&](const std::string& id) { return absl::StartsWith(id, key); });
    EXPECT_TRUE(cancelled || std::count(keys.begin(), keys.end(), key) == 1) << key;
  }
  const Json cost = Report("jobs/c")["cost"];
  EXPECT_EQ(cost["evaluations_run"], 0);
  EXPECT_GE(cost["evaluations_reused"].get<int>(), 9);
  bool reused = false;
  const std::vector<EventRecord> all_events = *store_.ReadEvents("jobs/c", 0, 1000);
  for (const EventRecord& event : all_events) {
    reused |= absl::StrContains(event.body, "\"reused\":true");
  }
  EXPECT_TRUE(reused);
}

TEST_F(EngineJobs, MetricsSayWhatTheReportSays) {
  auto server = Start(1);
  const Json spec = FakeSpec(FakeUris(7));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const CountingObserver::Counts first = observer_.counts();
  const Json report = Report("jobs/a");
  EXPECT_EQ(first.evaluations, report["cost"]["evaluations_run"]);
  EXPECT_EQ(first.stopped_early, report["cost"].value("evaluations_stopped_early", 0));
  EXPECT_EQ(first.examples_spared, report["cost"].value("examples_spared", 0));
  EXPECT_EQ(first.known, 0);
  EXPECT_EQ(first.unknown, static_cast<int64_t>(server->pool->assigned_keys().size()));
  std::map<std::string, int64_t> steps;
  for (const Json& step : report["result"]["steps"]) {
    ++steps[step["accepted"] ? "accepted" : step.contains("score") ? "rejected" : "dropped"];
  }
  EXPECT_EQ(first.candidates, steps);

  // What is known is looked up, and nobody is asked but to write the soup.
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
  EXPECT_EQ(observer_.counts().evaluations, first.evaluations);
  EXPECT_GE(observer_.counts().known, report["cost"]["evaluations_run"].get<int64_t>());
}

TEST_F(EngineJobs, FullScoresAreRejectionsAndNotDropped) {
  auto server = Start(1);
  Json spec = FakeSpec(FakeUris(7));
  spec["evaluation"]["full_scores"] = true;
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const std::map<std::string, int64_t> candidates = observer_.counts().candidates;
  EXPECT_EQ(candidates.count("dropped"), 0u);
  EXPECT_EQ(candidates.count("rejected"), 1u);
}

TEST_F(EngineJobs, ThreeMoreIngredientsCostTheirOwnMeasuresAlone) {
  auto server = Start(2);
  auto run = [&](const std::string& id, const Json& spec) {
    EXPECT_TRUE(server->engine->CreateJob(MakeJob(id, spec)).ok());
    EXPECT_TRUE(server->pool->RunToEnd("jobs/" + id));
    return Report("jobs/" + id);
  };
  run("four", FakeSpec(FakeUris(4)));
  const Json seven = run("seven", FakeSpec(FakeUris(7)));
  EXPECT_GE(seven["cost"]["evaluations_reused"].get<int>(), 4) << "the four, measured alone";
  // All of those that were measured to the end, and what the proofs of the others took.
  EXPECT_GE(seven["cost"]["examples_reused"].get<int64_t>(), 4 * kFakeExampleCount);
  EXPECT_LE(seven["cost"]["examples_reused"].get<int64_t>(),
            seven["cost"]["evaluations_reused"].get<int64_t>() * kFakeExampleCount);
  EXPECT_GT(seven["cost"]["worker_seconds_reused"].get<double>(), 0);

  // The same again, for itself: nothing is reused.
  const Json again = run("again", FakeSpec(FakeUris(7), {{"compute", {{"measure_again", true}}}}));
  EXPECT_EQ(again["cost"]["evaluations_reused"], 0);
  EXPECT_GE(again["cost"]["evaluations_run"].get<int>(), 13);
}

TEST_F(EngineJobs, HigherPriorityGoesFirstThenAge) {
  auto server = Start(0);
  auto create = [&](const std::string& id, int priority) {
    NewJob job = MakeJob(id, FakeSpec({absl::StrCat("/", id)}));
    job.priority = priority;
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(server->engine->CreateJob(job).ok());
  };
  create("low", -1);
  create("older", 0);
  create("younger", 0);
  create("high", 5);
  ASSERT_TRUE(server->pool->Connect("w0").ok());
  for (const char* job : {"jobs/high", "jobs/older", "jobs/younger", "jobs/low"}) {
    ASSERT_TRUE(server->pool->RunToEnd(job));
  }
  // All on one clock tick: the sequence of inspections tells the order.
  std::vector<std::string> order;
  for (const std::string& key : server->pool->assigned_keys()) {
    for (const char* id : {"low", "older", "younger", "high"}) {
      const JobRecord job = *store_.GetJob(absl::StrCat("jobs/", id));
      const std::string scope = absl::StrCat(job.name, "@", absl::ToUnixMicros(job.create_time));
      if (InspectCheckpointTask(scope, absl::StrCat("/", id)).key == key) order.emplace_back(id);
    }
  }
  EXPECT_EQ(order, (std::vector<std::string>{"high", "older", "younger", "low"}));
}

TEST_F(EngineJobs, ClientsTakeTurns) {
  auto server = Start(0);
  for (const char* id : {"a1", "a2", "b1"}) {
    NewJob job = MakeJob(id, FakeSpec({absl::StrCat("/", id)}));
    job.client = std::string(1, id[0]);
    clock_.Advance(absl::Seconds(1));
    ASSERT_TRUE(server->engine->CreateJob(job).ok());
  }
  ASSERT_TRUE(server->pool->Connect("w0").ok());
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  ASSERT_TRUE(server->pool->WaitForOpen(2).has_value());
  ASSERT_TRUE(server->pool->WaitUntil([&] {
    return server->engine->GetJob("jobs/b1")->record.state == JobState::kRunning;
  })) << "the other client's job runs beside the older ones";
  EXPECT_EQ(server->engine->GetJob("jobs/a2")->record.state, JobState::kQueued);
}

TEST_F(EngineJobs, CancellingEndsTheJobWithWhatWasMeasured) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(6)))).ok());
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 12), 12);
  ASSERT_TRUE(server->pool->WaitForOpen(2).has_value());
  const absl::StatusOr<JobView> view = server->engine->CancelJob("jobs/a");
  ASSERT_TRUE(view.ok()) << view.status();
  EXPECT_EQ(view->record.state, JobState::kCancelled);
  EXPECT_EQ(Report("jobs/a")["result"]["ingredients"].size(), 6u);
  EXPECT_TRUE(Report("jobs/a").contains("cost"));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return server->pool->cancelled().size() == 2; }));
  EXPECT_TRUE(server->engine->CancelJob("jobs/a").ok()) << "twice is fine";
  EXPECT_EQ(ReasonOf(server->engine->CancelJob("jobs/x").status()), "JOB_NOT_FOUND");

  // The workers are free again once they have given up.
  for (const ScriptedPool::Given& given : server->pool->open()) {
    Fact fact;
    fact.status = absl::CancelledError("given up");
    server->pool->Answer(given, fact);
  }
  ASSERT_TRUE(server->engine->RetryJob("jobs/a").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_EQ(ReasonOf(server->engine->CancelJob("jobs/a").status()), "JOB_ENDED");
}

TEST_F(EngineJobs, CancellingLeavesTasksThatAnotherJobWants) {
  auto server = Start(1);
  const Json spec = FakeSpec(FakeUris(3));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", spec)).ok());
  NewJob urgent = MakeJob("a", spec);
  urgent.priority = 9;
  ASSERT_TRUE(server->engine->CreateJob(urgent).ok());
  // Until both have inspected everything and job a measures.
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  bool measuring = false;
  for (int i = 0; i < 40 && !measuring; ++i) {
    ASSERT_TRUE(server->pool->WaitForOpen(2).has_value());
    const std::vector<ScriptedPool::Given> open = server->pool->open();
    measuring = true;
    for (const ScriptedPool::Given& given : open) {
      measuring &= given.assignment.task.kind() == "measure";
    }
    auto inspection = std::find_if(open.begin(), open.end(), [](const ScriptedPool::Given& given) {
      return given.assignment.task.kind() != "measure";
    });
    if (inspection != open.end()) {
      server->pool->Answer(*inspection, FakeResult(inspection->assignment.task));
    }
  }
  ASSERT_TRUE(measuring);
  ASSERT_TRUE(server->engine->CancelJob("jobs/a").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
  EXPECT_EQ(store_.GetJob("jobs/b")->state, JobState::kSucceeded);
}

TEST_F(EngineJobs, SpeculationThatBecameUselessIsCancelled) {
  auto server = Start(4);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(6)))).ok());
  auto ingredients = [](const ScriptedPool::Given& given) {
    const Task& task = given.assignment.task;
    return task.kind() == "measure" ? task.body["measure"]["blend"]["ingredients"] : Json::array();
  };
  auto answer = [&](const ScriptedPool::Given& given, int top1) {
    Fact fact = FakeResult(given.assignment.task);
    if (!ingredients(given).empty()) fact.result["measured"]["top1_correct"] = top1;
    server->pool->Answer(given, fact);
  };
  // Until every worker measures a soup of two: all but the first is speculation.
  std::vector<ScriptedPool::Given> open;
  while (true) {
    ASSERT_TRUE(server->pool->WaitForOpen(1).has_value());
    open = server->pool->open();
    auto other = std::find_if(open.begin(), open.end(), [&](const ScriptedPool::Given& given) {
      return ingredients(given).size() != 2;
    });
    if (other != open.end()) {
      answer(*other, 400);  // all tie: the order is the spec's
    } else if (open.size() == 4) {
      break;
    } else {
      ASSERT_TRUE(server->pool->WaitForOpen(open.size() + 1).has_value());
    }
  }
  for (const ScriptedPool::Given& given : open) {
    if (ingredients(given)[1]["uri"] == FakeUris(2)[1]) answer(given, 401);
  }
  ASSERT_TRUE(server->pool->WaitUntil([&] { return server->pool->cancelled().size() == 3; }));
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_EQ(Report("jobs/a")["cost"]["failed_attempts"], 0);
}

TEST_F(EngineJobs, CreatingIsIdempotentAndConflictsNameTheFields) {
  auto server = Start(0);
  NewJob job = MakeJob("a", FakeSpec(FakeUris(2)));
  job.request_id = "r1";
  job.labels = {{"k", "v"}};
  const absl::StatusOr<JobView> first = server->engine->CreateJob(job);
  ASSERT_TRUE(first.ok()) << first.status();
  // White space and the order of keys say nothing.
  job.spec = Json::parse(job.spec).dump(4);
  const absl::StatusOr<JobView> again = server->engine->CreateJob(job);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->record.name, first->record.name);
  EXPECT_EQ(EventKeys("jobs/a").size(), 1u);

  job.priority = 3;
  job.spec = FakeSpec(FakeUris(3)).dump();
  const absl::Status conflict = server->engine->CreateJob(job).status();
  EXPECT_EQ(conflict.code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(GetErrorFacts(conflict).metadata["fields"], "spec, priority");
  job.request_id = "r2";
  EXPECT_EQ(ReasonOf(server->engine->CreateJob(job).status()), "JOB_EXISTS");
}

TEST_F(EngineJobs, RefusesWhatCannotBeAJob) {
  auto server = Start(0);
  EXPECT_FALSE(server->engine->CreateJob(MakeJob("../up", FakeSpec(FakeUris(1)))).ok());
  EXPECT_FALSE(server->engine->CreateJob(MakeJob("a", {{"model", 1}})).ok());
  NewJob job = MakeJob("a", {});
  job.spec = "not json";
  EXPECT_FALSE(server->engine->CreateJob(job).ok());
}

TEST_F(EngineJobs, TakesNoMoreThanItsMostAndSaysWhenToRetry) {
  Engine::Options options;
  options.limits.max_unfinished_jobs = 1;
  auto server = Start(0, options);
  NewJob job = MakeJob("a", FakeSpec(FakeUris(1)));
  job.request_id = "r";
  ASSERT_TRUE(server->engine->CreateJob(job).ok());
  EXPECT_TRUE(server->engine->CreateJob(job).ok()) << "the same request again";
  const absl::Status full = server->engine->CreateJob(MakeJob("b", FakeSpec(FakeUris(1)))).status();
  EXPECT_EQ(full.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(full), "TOO_MANY_JOBS");
  EXPECT_GT(GetErrorFacts(full).retry_after, absl::ZeroDuration());
}

TEST_F(EngineJobs, DeletesWhatHasEndedAndNothingElse) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  EXPECT_EQ(ReasonOf(server->engine->DeleteJob("jobs/a")), "JOB_NOT_ENDED");
  EXPECT_EQ(ReasonOf(server->engine->RetryJob("jobs/a").status()), "JOB_NOT_ENDED");
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const std::string folder = server->engine->ArtifactFolder(*store_.GetJob("jobs/a"));
  EXPECT_TRUE(std::filesystem::exists(folder));
  EXPECT_EQ(ReasonOf(server->engine->RetryJob("jobs/a").status()), "JOB_ENDED");
  ASSERT_TRUE(server->engine->DeleteJob("jobs/a").ok());
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_EQ(ReasonOf(server->engine->DeleteJob("jobs/a")), "JOB_NOT_FOUND");
  // The name is free, and nothing of the old job is mistaken for the new one's.
  clock_.Advance(absl::Seconds(1));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_TRUE(std::filesystem::exists(folder));
}

TEST_F(EngineJobs, FailuresNameTheIngredientAndRetryStartsFresh) {
  auto server = Start(2);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec({"/m0", "/bad-1"}))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  JobRecord job = *store_.GetJob("jobs/a");
  EXPECT_EQ(job.state, JobState::kFailed);
  EXPECT_EQ(ReasonOf(job.error), "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(GetErrorFacts(job.error).violations[0].field, "spec.ingredients[1]");

  ASSERT_TRUE(server->engine->RetryJob("jobs/a").ok());
  while (!IsEnded(store_.GetJob("jobs/a")->state)) {
    ASSERT_TRUE(server->pool->WaitUntil(
        [&] { return !server->pool->open().empty() || IsEnded(store_.GetJob("jobs/a")->state); }));
    for (const ScriptedPool::Given& given : server->pool->open()) {
      Task task = given.assignment.task;
      if (task.kind() == "inspect_checkpoint") {  // somebody put the file there
        EXPECT_EQ(task.body["inspect_checkpoint"]["uri"], "/bad-1") << "the only one asked again";
        task.body["inspect_checkpoint"]["uri"] = "/mended";
      }
      server->pool->Answer(given, FakeResult(task));
    }
  }
  job = *store_.GetJob("jobs/a");
  EXPECT_EQ(job.state, JobState::kSucceeded) << job.error;
  EXPECT_TRUE(job.error.ok());
}

TEST_F(EngineJobs, WatchersAreToldAndPagesEndWithTheJob) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  absl::Mutex mutex;
  int64_t seen = 0;
  bool ended = false;
  auto subscription = server->engine->Subscribe("jobs/a", [&] {
    absl::MutexLock hold(&mutex);
    while (true) {
      const Engine::EventPage page = *server->engine->ReadEvents("jobs/a", seen, 3);
      for (const EventRecord& event : page.events) EXPECT_EQ(event.sequence, ++seen);
      ended |= page.ended;
      if (page.events.empty() || page.ended) return;
    }
  });
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  {
    absl::MutexLock hold(&mutex);
    EXPECT_TRUE(mutex.AwaitWithTimeout(absl::Condition(&ended), absl::Seconds(30)));
    EXPECT_EQ(seen, store_.GetJob("jobs/a")->last_sequence);
  }
  subscription.reset();
  for (int64_t after : {int64_t{-1}, seen + 1}) {
    const absl::Status status = server->engine->ReadEvents("jobs/a", after, 10).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kOutOfRange);
    EXPECT_EQ(ReasonOf(status), "SEQUENCE_OUT_OF_RANGE");
  }
  EXPECT_EQ(ReasonOf(server->engine->ReadEvents("jobs/x", 0, 1).status()), "JOB_NOT_FOUND");
}

TEST_F(EngineJobs, ProgressCountsWhatIsUnderWay) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 6), 6);
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  ASSERT_EQ((*open)[0].assignment.task.kind(), "measure");
  const int64_t before = server->engine->GetJob("jobs/a")->progress.examples_done;
  server->engine->WorkerProgress("w0", (*open)[0].assignment.id, 300);
  const JobProgress progress = server->engine->GetJob("jobs/a")->progress;
  EXPECT_EQ(progress.examples_done, before + 300);
  EXPECT_GT(progress.tasks_total, progress.tasks_done);
  // One task runs. A thousand examples took half a second each time (fake_results.h).
  EXPECT_NEAR(progress.estimated_seconds_left,
              0.5 * static_cast<double>(progress.examples_total - progress.examples_done) / 1000,
              1e-9);
  EXPECT_FALSE(progress.activity.empty());
}

TEST_F(EngineJobs, OneLooseTaskGoesBeforeThoseOfJobsAndNoneIsStored) {
  auto server = Start(0);
  absl::Notification done;
  Fact found;
  const Task task = InspectCheckpointTask("", "/m0");
  server->engine->RunTask(task, "me", [&](const Fact& fact) {
    found = fact;
    done.Notify();
  });
  std::atomic<bool> second_done = false;
  const Task second = InspectCheckpointTask("", "/m1");
  server->engine->RunTask(second, "me", [&](const Fact&) { second_done = true; });
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  for (const char* worker : {"w0", "w1"}) ASSERT_TRUE(server->pool->Connect(worker).ok());
  const auto open = server->pool->WaitForOpen(2);
  ASSERT_TRUE(open.has_value());
  std::set<std::string> keys;
  for (const auto& given : *open) {
    keys.insert(given.assignment.task.key);
    server->pool->Answer(given, FakeResult(given.assignment.task));
  }
  EXPECT_EQ(keys.count(task.key), 1u) << "somebody waits for it";
  EXPECT_EQ(keys.count(second.key), 0u) << "two would hold up the job";
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(found.key, task.key);
  EXPECT_TRUE(found.status.ok());
  EXPECT_TRUE(store_.FindFacts("", {task.key})->empty());
  EXPECT_TRUE(server->pool->WaitUntil([&] { return second_done.load(); }));
}

TEST_F(EngineJobs, MoreLooseTasksThanMayWaitAreToldWhenToComeBack) {
  Engine::Options options;
  options.limits.max_waiting_inspections = 5;
  options.limits.max_waiting_inspections_of_client = 3;
  auto server = Start(0, options);
  Fact refused;
  const auto ask = [&](const char* client) {
    refused.status = absl::OkStatus();
    server->engine->RunTask(InspectCheckpointTask("", "/m"), client,
                            [&](const Fact& fact) { refused = fact; });
    return refused.status.ok();
  };
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(ask("me")) << i;
  EXPECT_FALSE(ask("me"));
  EXPECT_TRUE(absl::StrContains(refused.status.message(), "one client")) << refused.status;
  for (int i = 0; i < 2; ++i) EXPECT_TRUE(ask("you")) << i;
  EXPECT_FALSE(ask("you")) << "the server has enough, though the client has not";
  EXPECT_EQ(refused.status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ReasonOf(refused.status), "TOO_MANY_INSPECTIONS");
  EXPECT_GT(GetErrorFacts(refused.status).retry_after, absl::ZeroDuration());
  server->engine->Stop();  // tells the others, while `refused` lives
}

TEST_F(EngineJobs, CheckingANewJobAnswersAsCreatingItWould) {
  auto server = Start(0);
  NewJob job = MakeJob("a", FakeSpec(FakeUris(2)));
  job.request_id = "r";
  EXPECT_TRUE(server->engine->CheckNewJob(job).ok());
  EXPECT_FALSE(store_.GetJob("jobs/a").ok()) << "nothing was stored";
  ASSERT_TRUE(server->engine->CreateJob(job).ok());
  EXPECT_TRUE(server->engine->CheckNewJob(job).ok()) << "the same request again";
  NewJob same_name = job;
  same_name.request_id = "";
  NewJob same_request = job;
  same_request.priority = 3;
  NewJob bad_id = MakeJob("A b", FakeSpec(FakeUris(1)));
  for (const NewJob& other : {same_name, same_request, bad_id}) {
    const absl::Status checked = server->engine->CheckNewJob(other);
    EXPECT_EQ(checked, server->engine->CreateJob(other).status());
    EXPECT_EQ(ReasonOf(checked), other.id == "a" ? "JOB_EXISTS" : "INVALID_FIELD");
  }
  NewJob fresh = MakeJob("", FakeSpec(FakeUris(1)));
  EXPECT_TRUE(server->engine->CheckNewJob(fresh).ok());
}

// A stored job goes on as it began or is refused: recipes and comparisons alike.
TEST_F(EngineJobs, AJobOfAnotherRecipeVersionIsRefusedWithBoth) {
  struct Case {
    const char* stored;
    const char* comparison;
    bool goes_on;
  };
  int jobs = 0;
  for (const Case& test : {Case{"greedy/1", "", true},
                           {"greedy/2", "", false},
                           {"greedy/1, learned/1", "learned", true},
                           {"greedy/1, learned/0", "learned", false},
                           {"greedy/0, learned/1", "learned", false},
                           {"greedy/1", "learned", true}}) {  // as older servers stored it
    SCOPED_TRACE(absl::StrCat(test.stored, " ", test.comparison));
    Json spec = FakeSpec(FakeUris(2));
    if (test.comparison[0] != '\0') {
      spec["comparisons"] = Json::array({{{test.comparison, Json::object()}}});
    }
    JobRecord record;
    record.name = absl::StrCat("jobs/a", ++jobs);
    record.spec = spec.dump();
    record.recipe_version = test.stored;
    record.create_time = clock_.Now();
    ASSERT_TRUE(store_.CreateJob(record, {"state/QUEUED/0", clock_.Now(), "{}"}).ok());
    auto server = Start(1);
    ASSERT_TRUE(server->pool->RunToEnd(record.name));
    const JobRecord ended = *store_.GetJob(record.name);
    EXPECT_EQ(ended.state, test.goes_on ? JobState::kSucceeded : JobState::kFailed);
    if (test.goes_on) continue;
    EXPECT_EQ(ended.error.code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_EQ(ReasonOf(ended.error), "RECIPE_CHANGED");
    EXPECT_TRUE(absl::StrContains(ended.error.message(), test.stored)) << ended.error;
  }
}

TEST_F(EngineJobs, ALooseTaskWhoseWorkerDiesIsAnError) {
  auto server = Start(1);
  absl::Notification done;
  absl::Status status;
  server->engine->RunTask(InspectCheckpointTask("", "/m0"), "me", [&](const Fact& fact) {
    status = fact.status;
    done.Notify();
  });
  ASSERT_TRUE(server->pool->WaitForOpen(1).has_value());
  server->pool->Kill("w0");
  ASSERT_TRUE(done.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(ReasonOf(status), "WORKER_CRASHED");
}

TEST_F(EngineJobs, MeasuresGoOnlyToWorkersOfTheirNumerics) {
  auto server = Start(1);
  ASSERT_TRUE(server->pool->Connect("other", "cuda fake").ok());
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(4)))).ok());
  while (!IsEnded(store_.GetJob("jobs/a")->state)) {
    ASSERT_TRUE(server->pool->WaitUntil(
        [&] { return !server->pool->open().empty() || IsEnded(store_.GetJob("jobs/a")->state); }));
    for (const ScriptedPool::Given& given : server->pool->open()) {
      if (given.assignment.task.kind() == "measure") {
        EXPECT_EQ(given.worker, "w0");
      }
      server->pool->Answer(given, FakeResult(given.assignment.task));
    }
  }
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
}

TEST_F(EngineJobs, SaysWhenNoWorkerComputesAsTheJobBegan) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 5), 5);  // the inspections
  ASSERT_TRUE(server->pool->WaitForOpen(1).has_value());
  server->pool->Kill("w0");
  auto activity = [&] { return server->engine->GetJob("jobs/a")->progress.activity; };
  EXPECT_FALSE(absl::StrContains(activity(), "waits")) << "a worker may be on its way";
  ASSERT_TRUE(server->pool->Connect("other", "cuda fake").ok());
  EXPECT_TRUE(absl::StrContains(activity(), kFakeNumerics)) << activity();
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  EXPECT_FALSE(absl::StrContains(activity(), "waits"));
  EXPECT_TRUE(server->pool->RunToEnd("jobs/a"));
}

TEST_F(EngineJobs, DrainingRefusesNewWorkAndStopTellsTheWorkers) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(2)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  absl::Notification refused;
  server->engine->RunTask(InspectCheckpointTask("", "/m0"), "me", [&](const Fact& fact) {
    EXPECT_EQ(ReasonOf(fact.status), "SERVER_STOPPING");
    refused.Notify();
  });
  server->engine->Drain();
  ASSERT_TRUE(refused.WaitForNotificationWithTimeout(absl::Seconds(30)));
  EXPECT_EQ(ReasonOf(server->engine->CreateJob(MakeJob("b", FakeSpec(FakeUris(1)))).status()),
            "SERVER_STOPPING");
  EXPECT_EQ(ReasonOf(server->pool->Connect("late")), "SERVER_STOPPING");
  // A running task may still finish; no other is begun.
  server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return store_.fact_count() == 1; }));
  server->engine->Stop();
  EXPECT_TRUE(server->pool->open().empty());
  EXPECT_EQ(server->pool->shut_down(), (std::vector<std::string>{"w0"}));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kRunning);
}

TEST_F(EngineJobs, ASecondWorkerOfTheSameNameIsRefused) {
  auto server = Start(1);
  EXPECT_EQ(server->pool->Connect("w0").code(), absl::StatusCode::kAlreadyExists);
  EXPECT_EQ(server->engine->Workers().size(), 1u);
}

}  // namespace
}  // namespace stockpot
