// What ends by itself, and what may not begin: deadlines, budgets, retention, limits, full disks.
#include <atomic>
#include <filesystem>

#include "absl/strings/match.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/manifest.h"
#include "tests/server/control/job/engine_fixture.h"

namespace stockpot {
namespace {

std::string RefusalOf(const absl::Status& status) { return GetErrorFacts(status).reason; }

class EngineLimitsTest : public EngineTest {
 protected:
  // A job of `client` over `ingredients` checkpoints.
  static NewJob JobOf(const std::string& id, const std::string& client, int ingredients = 1) {
    NewJob job = MakeJob(id, FakeSpec(FakeUris(ingredients)));
    job.client = client;
    return job;
  }

  bool ReachesState(Server* server, const std::string& job, JobState state) {
    return server->pool->WaitUntil(
        [&] { return server->engine->GetJob(job)->record.state == state; });
  }

  // Ended, with artifacts of so many bytes beyond those of the report.
  void EndJob(Server* server, const NewJob& job) {
    ASSERT_TRUE(server->engine->CreateJob(job).ok());
    ASSERT_TRUE(server->pool->RunToEnd("jobs/" + job.id));
    ASSERT_EQ(store_.GetJob("jobs/" + job.id)->state, JobState::kSucceeded);
  }
};

TEST_F(EngineLimitsTest, EachLimitRefusesWithItsReasonAndWhenToComeBack) {
  struct Case {
    const char* name;
    EngineLimits limits;
    const char* reason;
    bool refuses_others;
  };
  EngineLimits jobs, jobs_of_client, ingredients, ingredients_of_client;
  jobs.max_unfinished_jobs = 1;
  jobs_of_client.max_unfinished_jobs_of_client = 1;
  ingredients.max_unfinished_ingredients = 5;
  ingredients_of_client.max_unfinished_ingredients_of_client = 5;
  for (const Case& test :
       {Case{"jobs", jobs, "TOO_MANY_JOBS", true},
        {"jobs_of_client", jobs_of_client, "TOO_MANY_JOBS", false},
        {"ingredients", ingredients, "TOO_MANY_INGREDIENTS", true},
        {"ingredients_of_client", ingredients_of_client, "TOO_MANY_INGREDIENTS", false}}) {
    SCOPED_TRACE(test.name);
    MemoryStore store;
    Engine::Options options;
    options.limits = test.limits;
    Server server(&store, &clock_, log_.get(), &observer_, folder_.path(), options);
    NewJob first = JobOf("first", "me", 3);
    first.request_id = "r";
    ASSERT_TRUE(server.engine->CreateJob(first).ok());
    const absl::Status refused = server.engine->CreateJob(JobOf("second", "me", 3)).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted);
    EXPECT_EQ(RefusalOf(refused), test.reason);
    EXPECT_GT(GetErrorFacts(refused).retry_after, absl::ZeroDuration());
    EXPECT_EQ(server.engine->CreateJob(JobOf("third", "you", 3)).ok(), !test.refuses_others);
    EXPECT_TRUE(server.engine->CreateJob(first).ok()) << "the same request again is no new job";
    ASSERT_TRUE(server.engine->CancelJob("jobs/first").ok());
    EXPECT_TRUE(server.engine->CreateJob(first).ok()) << "nor is it once the job has ended";
  }
}

TEST_F(EngineLimitsTest, StoredBytesRefuseNewJobsUntilSomeAreDeleted) {
  for (const bool of_client : {true, false}) {
    SCOPED_TRACE(of_client ? "of a client" : "of all");
    EngineLimits limits;
    (of_client ? limits.max_artifact_bytes_of_client : limits.max_artifact_bytes) = 100;
    MemoryStore store;
    Engine::Options options;
    options.limits = limits;
    Server server(&store, &clock_, log_.get(), &observer_, folder_.path(), options);
    ASSERT_TRUE(server.pool->Connect("w0").ok());
    ASSERT_TRUE(server.engine->CreateJob(JobOf("a", "me")).ok());
    ASSERT_TRUE(server.pool->RunToEnd("jobs/a"));
    const absl::Status refused = server.engine->CreateJob(JobOf("b", "me")).status();
    EXPECT_EQ(RefusalOf(refused), "TOO_MANY_BYTES");
    EXPECT_GT(GetErrorFacts(refused).retry_after, absl::ZeroDuration());
    EXPECT_EQ(server.engine->CreateJob(JobOf("c", "you")).ok(), of_client);
    ASSERT_TRUE(server.engine->DeleteJob("jobs/a").ok());
    EXPECT_TRUE(server.engine->CreateJob(JobOf("b", "me")).ok());
  }
}

TEST_F(EngineLimitsTest, AJobEndsAtItsTimeoutAndRetryGoesOn) {
  auto server = Start(1);
  const Json spec = FakeSpec(FakeUris(3), {{"limits", {{"timeout", "60s"}}}});
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  ASSERT_EQ(server->pool->AnswerSome("jobs/a", 6), 6);
  clock_.Advance(absl::Seconds(61));
  ASSERT_TRUE(ReachesState(server.get(), "jobs/a", JobState::kFailed));
  const JobRecord failed = *store_.GetJob("jobs/a");
  EXPECT_EQ(failed.error.code(), absl::StatusCode::kDeadlineExceeded);
  EXPECT_EQ(RefusalOf(failed.error), "JOB_TIMEOUT");
  EXPECT_EQ(Report("jobs/a")["result"]["ingredients"].size(), 3u) << "the partial report";
  ASSERT_TRUE(server->pool->Connect("w1").ok());  // a minute of silence was too long for w0
  ASSERT_TRUE(server->engine->RetryJob("jobs/a").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  const std::vector<std::string> keys = server->pool->assigned_keys();
  EXPECT_LE(keys.size(), store_.fact_count() + 1) << "only what was interrupted is done twice";
}

TEST_F(EngineLimitsTest, AQueuedJobEndsAtItsTimeoutAlsoAfterARestart) {
  const Json spec = FakeSpec(FakeUris(3), {{"limits", {{"timeout", "60s"}}}});
  ASSERT_TRUE(Start(0)->engine->CreateJob(MakeJob("a", spec)).ok());
  clock_.Advance(absl::Seconds(61));
  auto server = Start(0);
  EXPECT_TRUE(ReachesState(server.get(), "jobs/a", JobState::kFailed));
}

TEST_F(EngineLimitsTest, AWorkerThatDoesNotGoIsEndedAfterOneMoreLease) {
  Engine::Options options;
  std::atomic<int> ended = 0;
  options.end_worker = [&](const std::string& worker) { ended += worker == "w0" ? 1 : 100; };
  auto server = Start(1, options);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  ASSERT_TRUE(server->pool->WaitForOpen(1).has_value());
  clock_.Advance(absl::Seconds(31));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !server->pool->shut_down().empty(); }));
  EXPECT_EQ(ended, 0) << "it may still go by itself";
  EXPECT_TRUE(server->pool->dropped().empty());
  clock_.Advance(absl::Seconds(31));
  EXPECT_TRUE(server->pool->WaitUntil([&] { return ended == 1; }));
  EXPECT_TRUE(server->pool->WaitUntil([&] { return server->pool->dropped().size() == 1; }))
      << "there may be no process of ours";
}

TEST_F(EngineLimitsTest, ATaskWithoutProgressIsTakenAwayThoughItsWorkerBeats) {
  auto server = Start(1);
  const Json spec = FakeSpec(FakeUris(1), {{"limits", {{"task_timeout", "100s"}}}});
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  const std::string id = (*open)[0].assignment.id;
  for (int i = 1; i <= 12; ++i) {  // four minutes with progress: nothing happens
    clock_.Advance(absl::Seconds(20));
    server->engine->WorkerProgress("w0", id, i);
  }
  EXPECT_TRUE(server->pool->shut_down().empty());
  ASSERT_TRUE(server->pool->WaitUntil([&] {
    clock_.Advance(absl::Seconds(20));
    server->engine->WorkerProgress("w0", id, 12);
    return !server->pool->shut_down().empty();
  }));
  server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));
  ASSERT_TRUE(server->pool->Connect("w1").ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  const std::vector<EventRecord> events = *store_.ReadEvents("jobs/a", 0, 100);
  const bool told = std::any_of(events.begin(), events.end(), [](const EventRecord& event) {
    return absl::StrContains(event.body, "task_timeout");
  });
  EXPECT_TRUE(told);
}

TEST_F(EngineLimitsTest, ATaskThatTakesTooLongIsTakenAwayThoughItGoesOn) {
  auto server = Start(0);
  const Json spec = FakeSpec(FakeUris(1), {{"limits", {{"max_task_time", "100s"}}}});
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
  // Each worker that comes gets one of the job's few first tasks, until one has had two attempts.
  for (int w = 0; w < 8 && !IsEnded(store_.GetJob("jobs/a")->state); ++w) {
    const std::string worker = absl::StrCat("w", w);
    ASSERT_TRUE(server->pool->Connect(worker).ok());
    const auto open = server->pool->WaitForOpen(1);
    ASSERT_TRUE(open.has_value());
    for (int i = 1; i <= 12; ++i) {
      clock_.Advance(absl::Seconds(20));
      server->engine->WorkerProgress(worker, (*open)[0].assignment.id, i);
      if (i == 4) {
        EXPECT_EQ(server->pool->shut_down().size(), static_cast<size_t>(w)) << "80 s";
      }
    }
    ASSERT_TRUE(server->pool->WaitUntil(
        [&] { return server->pool->shut_down().size() > static_cast<size_t>(w); }));
    server->pool->Answer((*open)[0], FakeResult((*open)[0].assignment.task));  // too late
    server->engine->WorkerLost(worker);
  }
  ASSERT_TRUE(ReachesState(server.get(), "jobs/a", JobState::kFailed));
  const absl::Status error = store_.GetJob("jobs/a")->error;
  EXPECT_EQ(RefusalOf(error), "TASK_TIMEOUT") << error;
  EXPECT_TRUE(absl::StrContains(error.message(), "max_task_time")) << error;
}

TEST_F(EngineLimitsTest, ABudgetOfWorkersTimeEndsTheSameAfterARestart) {
  const Json spec = FakeSpec(FakeUris(8), {{"limits", {{"max_worker_time", "5.2s"}}}});
  {
    auto server = Start(1);
    ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", spec)).ok());
    // Half a second for each measure: the budget ends while candidates are tried.
    ASSERT_TRUE(server->pool->WaitUntil([&] {
      server->pool->AnswerSome("jobs/a", 1);
      const std::string scope =
          absl::StrCat("jobs/a@", absl::ToUnixMicros(store_.GetJob("jobs/a")->create_time));
      return !store_.FindFacts("jobs/a", {EndBudgetTask(scope).key})->empty();
    }));
  }
  auto server = Start(2);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  const Json result = Report("jobs/a")["result"];
  EXPECT_TRUE(absl::StartsWith(result["stopped_because"].get<std::string>(), "max_worker_time"));
  EXPECT_LT(result["steps"].size(), 8u);
  EXPECT_GE(result["steps"].size(), 1u);
}

TEST_F(EngineLimitsTest, RetentionByAgeDeletesWhatHasEndedAndItsMeasures) {
  Engine::Options options;
  options.retention.age = absl::Hours(24);
  auto server = Start(1, options);
  EndJob(server.get(), JobOf("old", "me"));
  const std::string folder = server->engine->ArtifactFolder(*store_.GetJob("jobs/old"));
  clock_.Advance(absl::Hours(20));
  EndJob(server.get(), MakeJob("new", FakeSpec({"/other"})));
  server->pool->Kill("w0");
  ASSERT_TRUE(server->engine->CreateJob(JobOf("waits", "me")).ok());
  clock_.Advance(absl::Hours(10));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !store_.GetJob("jobs/old").ok(); }));
  EXPECT_FALSE(std::filesystem::exists(folder));
  EXPECT_TRUE(store_.GetJob("jobs/new").ok());
  EXPECT_TRUE(store_.GetJob("jobs/waits").ok()) << "unfinished jobs are never touched";
  clock_.Advance(absl::Hours(1000));
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !store_.GetJob("jobs/new").ok(); }));
  EXPECT_TRUE(store_.GetJob("jobs/waits").ok());
  EXPECT_TRUE(server->pool->WaitUntil([&] { return store_.fact_count() == 0; }));
}

TEST_F(EngineLimitsTest, RetentionByBytesLetsTheLongestEndedGoFirst) {
  Engine::Options options;
  options.retention.artifact_bytes = 1;
  auto server = Start(1);
  for (const char* id : {"a", "b", "c"}) {
    EndJob(server.get(), JobOf(id, "me"));
    clock_.Advance(absl::Seconds(1));
  }
  const int64_t each = store_.GetJob("jobs/a")->artifact_bytes;
  EXPECT_GT(each, 1000) << "the soup and the reports";
  server.reset();
  options.retention.artifact_bytes = 2 * each + each / 2;
  server = Start(0, options);
  ASSERT_TRUE(server->pool->WaitUntil([&] { return !store_.GetJob("jobs/a").ok(); }));
  EXPECT_TRUE(store_.GetJob("jobs/b").ok());
  EXPECT_TRUE(store_.GetJob("jobs/c").ok());
}

Fact NoRoom(const std::string& reason) {
  Fact fact;
  fact.status = WithReason(reason == "DISK_FULL" ? absl::ResourceExhaustedError("no room")
                                                 : absl::PermissionDeniedError("read-only"),
                           reason);
  return fact;
}

// Workers write more than soups: decoded data sets, downloads and kept logits.
TEST_F(EngineLimitsTest, ADiskThatIsFullForAnyTaskSuspendsTheJobAndCostsNoAttempt) {
  int jobs = 0;
  for (const char* reason : {"DISK_FULL", "STORAGE_READ_ONLY"}) {
    for (const char* kind : {"inspect_data_set", "measure", "write_soup"}) {
      SCOPED_TRACE(absl::StrCat(reason, " in ", kind));
      const std::string id = absl::StrCat("a", ++jobs);
      Engine::Options options;
      options.max_claims = 3;
      auto server = Start(1, options);
      ASSERT_TRUE(server->engine->CreateJob(MakeJob(id, FakeSpec({"/m" + id}))).ok());
      int refused = 0;
      while (refused <= options.max_claims) {
        const auto open = server->pool->WaitForOpen(1);
        ASSERT_TRUE(open.has_value());
        const Task& task = (*open)[0].assignment.task;
        if (task.kind() != kind) {
          server->pool->Answer((*open)[0], FakeResult(task));
          continue;
        }
        server->pool->Answer((*open)[0], NoRoom(reason));
        ASSERT_TRUE(ReachesState(server.get(), "jobs/" + id, JobState::kSuspended));
        EXPECT_EQ(server->engine->GetJob("jobs/" + id)->record.suspend_reason, reason);
        ++refused;
        ASSERT_TRUE(server->pool->WaitUntil([&] {
          clock_.Advance(absl::Seconds(5));
          return server->engine->GetJob("jobs/" + id)->record.state == JobState::kRunning;
        }));
      }
      ASSERT_TRUE(server->pool->RunToEnd("jobs/" + id));
      EXPECT_EQ(store_.GetJob("jobs/" + id)->state, JobState::kSucceeded);
      EXPECT_EQ(Report("jobs/" + id)["cost"]["failed_attempts"], 0);
    }
  }
}

TEST_F(EngineLimitsTest, AFullDiskSaysNothingOfACancelledJobsTask) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  ASSERT_TRUE(server->engine->CancelJob("jobs/a").ok());
  server->pool->Answer((*open)[0], NoRoom("STORAGE_READ_ONLY"));
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("b", FakeSpec({"/other"}))).ok());
  ASSERT_TRUE(server->pool->RunToEnd("jobs/b"));
  EXPECT_TRUE(store_.FindFacts("jobs/a", {(*open)[0].assignment.task.key})->empty());
}

// What has no such reason is of what was read: a file that the worker may not open.
TEST_F(EngineLimitsTest, ASourceThatMayNotBeReadFailsTheJob) {
  auto server = Start(1);
  ASSERT_TRUE(server->engine->CreateJob(MakeJob("a", FakeSpec(FakeUris(1)))).ok());
  const auto open = server->pool->WaitForOpen(1);
  ASSERT_TRUE(open.has_value());
  Fact fact;
  fact.status = absl::PermissionDeniedError("permission denied");
  server->pool->Answer((*open)[0], fact);
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  EXPECT_EQ(store_.GetJob("jobs/a")->state, JobState::kFailed);
}

TEST_F(EngineLimitsTest, AnOutputFolderIsFilledOnceAndLeftAlone) {
  auto server = Start(1);
  NewJob job = MakeJob("a", FakeSpec(FakeUris(2), {{"output", {{"output_uri", "/out"}}}}));
  job.output_folder = folder_ / "out";
  ASSERT_TRUE(server->engine->CreateJob(job).ok());
  NewJob other = MakeJob("b", FakeSpec(FakeUris(2)));
  other.output_folder = job.output_folder;
  EXPECT_EQ(RefusalOf(server->engine->CreateJob(other).status()), "OUTPUT_EXISTS");
  ASSERT_TRUE(server->pool->RunToEnd("jobs/a"));
  ASSERT_EQ(store_.GetJob("jobs/a")->state, JobState::kSucceeded);
  EXPECT_EQ(store_.GetJob("jobs/a")->artifact_bytes, 0) << "they are the client's";
  EXPECT_EQ(RefusalOf(server->engine->CreateJob(other).status()), "OUTPUT_EXISTS");
  ASSERT_TRUE(server->engine->DeleteJob("jobs/a").ok());
  const absl::StatusOr<std::string> text = ReadSmallFile(folder_ / "out/manifest.json", 1 << 20);
  ASSERT_TRUE(text.ok()) << text.status();
  EXPECT_TRUE(ReadManifest(*ParseJson(*text)).ok());
}

TEST(Manifest, RefusesWhatNoJobWrote) {
  const std::string digest(64, 'a');
  const Json good = {
      {"manifest_version", 1},
      {"soup",
       {{"write",
         {{"blend",
           {{"ingredients", Json::array({{{"uri", "/m"}, {"digest", digest}}})},
            {"coefficients", {0.5}},
            {"dtype", "STORED"}}},
          {"format", "SAFETENSORS"},
          {"max_shard_bytes", 5000},
          {"metadata", {{"format", "pt"}}}}},
        {"content_digest", digest},
        {"files",
         Json::array({{{"file", "soup.safetensors"}, {"size_bytes", 1}, {"sha256", digest}}})}}}};
  ASSERT_TRUE(ReadManifest(good).ok()) << ReadManifest(good).status();
  const std::pair<const char*, Json> kSpoilt[] = {
      {"/manifest_version", 2},
      {"/soup", "x"},
      {"/soup/content_digest", "abc"},
      {"/soup/files", Json::array()},
      {"/soup/files/0/sha256", digest + "a"},
      {"/soup/write", 7},
      {"/soup/write/blend/ingredients", Json::array()},
      {"/soup/write/blend/ingredients/0/digest", ""},
      {"/soup/write/blend/ingredients/0/uri", ""},
      {"/soup/write/blend/selection", {{"from_base", {"head.*"}}}},
      {"/soup/write/reestimate", 7},
      {"/soup/write/blend/coefficients", {"x"}},
      {"/soup/write/metadata", {{"format", 3}}},
      {"/soup/write/metadata", "x"},
  };
  for (const auto& [where, value] : kSpoilt) {
    Json spoilt = good;
    spoilt[Json::json_pointer(where)] = value;
    const absl::Status status = ReadManifest(spoilt).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << where << " " << value;
    EXPECT_EQ(RefusalOf(status), "MANIFEST_INVALID") << where << " " << value;
  }
  EXPECT_FALSE(ReadManifest(Json::array()).ok());
}

}  // namespace
}  // namespace stockpot
