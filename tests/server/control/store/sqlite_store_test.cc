// What only a store on disk can promise: it outlives processes, and keeps others out.
#include "server/control/store/sqlite/sqlite_store.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sqlite3.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "tests/support/fakes/fake_results.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

const absl::Time kMakeTime = absl::FromUnixSeconds(1700000000);

JobRecord MakeJob() {
  JobRecord job;
  job.name = "jobs/a";
  job.create_time = kMakeTime;
  return job;
}

TEST(SqliteStore, WhatWasStoredIsThereAfterReopening) {
  TemporaryFolder folder;
  const Task task = InspectCheckpointTask("s", "/m");
  {
    auto store = *OpenSqliteStore(folder / "data");
    ASSERT_TRUE(store->CreateJob(MakeJob(), {"made", kMakeTime, "{}"}).ok());
    const TaskClaim claim =
        *store->ClaimTask("jobs/a", task, "o", kMakeTime, kMakeTime + absl::Hours(1));
    ASSERT_TRUE(store->FinishTask(task.key, claim.fence, FakeResult(task), kMakeTime).ok());
  }
  auto store = *OpenSqliteStore(folder / "data");
  EXPECT_EQ(store->ListUnfinishedJobs()->size(), 1u);
  EXPECT_EQ(store->ReadEvents("jobs/a", 0, 10)->size(), 1u);
  EXPECT_EQ(store->FindFacts("jobs/a", {task.key})->front().result, FakeResult(task).result);
}

TEST(SqliteStore, OpeningEndsTheClaimsOfTheDead) {
  TemporaryFolder folder;
  const Task task = InspectCheckpointTask("s", "/m");
  TaskClaim old;
  {
    auto store = *OpenSqliteStore(folder.path());
    old = *store->ClaimTask("jobs/a", task, "dead", kMakeTime, kMakeTime + absl::Hours(1));
  }
  auto store = *OpenSqliteStore(folder.path());
  const absl::StatusOr<TaskClaim> claim =
      store->ClaimTask("jobs/a", task, "alive", kMakeTime, kMakeTime + absl::Hours(1));
  ASSERT_TRUE(claim.ok()) << claim.status();
  EXPECT_GT(claim->fence, old.fence);
  EXPECT_EQ(claim->attempt, 2);
}

TEST(SqliteStore, KeepsASecondServerOutAndNamesTheFolder) {
  TemporaryFolder folder;
  auto store = *OpenSqliteStore(folder.path());
  const absl::Status status = OpenSqliteStore(folder.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find(folder.path()), absl::string_view::npos) << status;
}

TEST(SqliteStore, RefusesAStoreOfANewerServer) {
  TemporaryFolder folder;
  ASSERT_TRUE(OpenSqliteStore(folder.path()).ok());
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open((folder / "stockpot.db").c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, "PRAGMA user_version = 99", nullptr, nullptr, nullptr),
            SQLITE_OK);
  sqlite3_close(database);
  const absl::Status status = OpenSqliteStore(folder.path()).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(status.message().find("newer"), absl::string_view::npos) << status;
}

// Of a real server of schema 1 that was killed: data/make_version_1.py.
void WriteStoreOfVersion1(const std::string& path) {
  std::ifstream file("tests/server/control/store/data/version_1.sql");
  const std::string sql{std::istreambuf_iterator<char>(file), {}};
  ASSERT_FALSE(sql.empty());
  sqlite3* database = nullptr;
  ASSERT_EQ(sqlite3_open(path.c_str(), &database), SQLITE_OK);
  ASSERT_EQ(sqlite3_exec(database, sql.c_str(), nullptr, nullptr, nullptr), SQLITE_OK)
      << sqlite3_errmsg(database);
  sqlite3_close(database);
}

TEST(SqliteStore, AStoreOfAnOlderServerIsMigratedWithItsJobs) {
  TemporaryFolder folder;
  ASSERT_NO_FATAL_FAILURE(WriteStoreOfVersion1(folder / "stockpot.db"));
  for (const char* time : {"migrated", "opened again"}) {
    SCOPED_TRACE(time);
    auto store = OpenSqliteStore(folder.path());
    ASSERT_TRUE(store.ok()) << store.status();
    const JobRecord ended = *(*store)->GetJob("jobs/ended");
    EXPECT_EQ(ended.state, JobState::kSucceeded);
    EXPECT_EQ(ended.recipe_version, "greedy/1");
    EXPECT_EQ(Json::parse(ended.report)["result"]["chosen"], "best_single");
    int64_t bytes = 0;
    for (const Json& file : Json::parse(ended.artifacts)) {
      bytes += std::stoll(file["size_bytes"].is_string() ? file["size_bytes"].get<std::string>()
                                                         : file["size_bytes"].dump());
    }
    EXPECT_EQ(ended.artifact_bytes, bytes) << "as the migration sums them";
    EXPECT_EQ((*store)->ArtifactBytes()->at(""), bytes);
    EXPECT_EQ(ended.output_folder, "");
    EXPECT_FALSE(ended.deadline.has_value());
    EXPECT_EQ(ended.last_sequence, 15);
    EXPECT_EQ((*store)->ReadEvents("jobs/ended", 0, 100)->size(), 15u);
    EXPECT_EQ((*store)->ListEndedJobs(absl::InfiniteFuture(), 1, 10)->size(), 1u);
    const std::vector<JobRecord> unfinished = *(*store)->ListUnfinishedJobs();
    ASSERT_EQ(unfinished.size(), 1u);
    EXPECT_EQ(unfinished[0].name, "jobs/running");
    EXPECT_EQ((*store)->ReadEvents("jobs/running", 0, 100)->size(), 7u);
    JobQuery by_priority;
    by_priority.limit = 10;
    EXPECT_EQ((*store)->ListJobs(by_priority)->size(), 2u);
  }
  // What was measured is there, may be reused, and has an age from now on.
  auto store = *OpenSqliteStore(folder.path());
  const char kMeasured[] = "6ff92e9ad80ce49c86ffc5ff401fff05e1a3c80eebdf616b67aab8c634965c51";
  const std::vector<Fact> facts = *store->FindFacts("jobs/other", {kMeasured});
  ASSERT_EQ(facts.size(), 1u);
  EXPECT_TRUE(ReadScore(facts[0]).ok());
  EXPECT_FALSE(store->ReadExamples(kMeasured)->empty());
  ASSERT_TRUE(store->DeleteJob("jobs/ended").ok());
  EXPECT_FALSE(store->FindFacts("jobs/other", {kMeasured})->empty());
  EXPECT_GE(*store->ForgetMeasures(kMakeTime), 1) << "their age is not known";
}

TEST(SqliteStore, ADamagedOlderStoreIsLeftAsItIs) {
  TemporaryFolder folder;
  ASSERT_NO_FATAL_FAILURE(WriteStoreOfVersion1(folder / "stockpot.db"));
  const auto run = [&](const char* sql) {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open((folder / "stockpot.db").c_str(), &database), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  };
  // The last step of the migration fails: all of it is undone.
  run("ALTER TABLE facts ADD COLUMN found_time INTEGER NOT NULL DEFAULT 0");
  EXPECT_FALSE(OpenSqliteStore(folder.path()).ok());
  run("ALTER TABLE facts DROP COLUMN found_time");
  const auto store = OpenSqliteStore(folder.path());
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_TRUE((*store)->GetJob("jobs/ended").ok());
}

TEST(SqliteStore, SaysWhenTheFileIsNoStore) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileDurably(folder / "stockpot.db", std::string(5000, 'x')).ok());
  EXPECT_EQ(OpenSqliteStore(folder.path()).status().code(), absl::StatusCode::kDataLoss);
}

// A child writes events one by one and reports each that returned OK through a pipe; it is killed
// in the middle. Everything reported must be there, and nothing out of sequence.
TEST(SqliteStore, NothingThatReturnedOkIsLostByKill) {
  TemporaryFolder folder;
  for (int round = 0; round < 3; ++round) {
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      auto store = *OpenSqliteStore(folder.path());
      JobRecord job = MakeJob();
      store->CreateJob(job, {"made", kMakeTime, "{}"}).status().IgnoreError();
      for (int i = 0;; ++i) {
        absl::StatusOr<int64_t> last = store->UpdateJob(
            job, {{absl::StrCat(round, "/", i), kMakeTime, std::string(500, 'x')}});
        if (!last.ok() || write(ends[1], &*last, sizeof(*last)) != sizeof(*last)) _exit(1);
      }
    }
    close(ends[1]);
    int64_t reported = 0;
    for (int i = 0; i < 25; ++i) {
      ASSERT_EQ(read(ends[0], &reported, sizeof(reported)), static_cast<ssize_t>(sizeof(int64_t)));
    }
    kill(child, SIGKILL);
    int64_t more = 0;
    while (read(ends[0], &more, sizeof(more)) == static_cast<ssize_t>(sizeof(more)))
      reported = more;
    close(ends[0]);
    waitpid(child, nullptr, 0);

    auto store = *OpenSqliteStore(folder.path());
    const std::vector<EventRecord> events = *store->ReadEvents("jobs/a", 0, 1000000);
    ASSERT_GE(static_cast<int64_t>(events.size()), reported);
    for (size_t i = 0; i < events.size(); ++i) {
      ASSERT_EQ(events[i].sequence, static_cast<int64_t>(i) + 1);
    }
    EXPECT_EQ(store->GetJob("jobs/a")->last_sequence, static_cast<int64_t>(events.size()));
  }
}

}  // namespace
}  // namespace stockpot
