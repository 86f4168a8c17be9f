#include "server/control/store/sqlite/check_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>

#include "server/base/files.h"
#include "server/control/store/sqlite/sqlite_store.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

const absl::Time kNow = absl::FromUnixSeconds(1700000000);

std::string Content(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// A store with a job that SUCCEEDED, its soup, and a job that is QUEUED.
class CheckStore : public testing::Test {
 protected:
  CheckStore() {
    auto store = *OpenSqliteStore(data_);
    for (const char* name : {"jobs/done", "jobs/queued"}) {
      JobRecord job;
      job.name = name;
      job.create_time = kNow;
      EXPECT_TRUE(store->CreateJob(job, {"made", kNow, "{}"}).ok());
      if (job.name == "jobs/queued") continue;
      job.state = JobState::kSucceeded;
      job.artifacts = R"([{"file":"soup.safetensors","size_bytes":"4","sha256":"ab"}])";
      EXPECT_TRUE(store->UpdateJob(job, {{"begun", kNow, "{}"}, {"done", kNow, "{}"}}).ok());
    }
    EXPECT_TRUE(MakeFolders(data_ + "/artifacts/done").ok());
    EXPECT_TRUE(WriteFileDurably(Soup(), "soup").ok());
  }

  std::string Soup() const { return data_ + "/artifacts/done/soup.safetensors"; }
  absl::StatusOr<StoreCheck> Check() const { return CheckSqliteStore(data_, data_ + "/artifacts"); }
  std::vector<std::string> Problems() const {
    const absl::StatusOr<StoreCheck> check = Check();
    EXPECT_TRUE(check.ok()) << check.status();
    return check.ok() ? check->problems : std::vector<std::string>();
  }
  void Change(const char* sql) const {
    sqlite3* database = nullptr;
    ASSERT_EQ(sqlite3_open((data_ + "/stockpot.db").c_str(), &database), SQLITE_OK);
    EXPECT_EQ(sqlite3_exec(database, sql, nullptr, nullptr, nullptr), SQLITE_OK)
        << sqlite3_errmsg(database);
    sqlite3_close(database);
  }

  TemporaryFolder folder_;
  const std::string data_ = folder_ / "data";
};

TEST_F(CheckStore, ASoundStoreIsCountedAndHasNoProblem) {
  const absl::StatusOr<StoreCheck> check = Check();
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_THAT(check->problems, ElementsAre());
  EXPECT_EQ(check->jobs, 2);
  EXPECT_EQ(check->events, 4);
  EXPECT_EQ(check->facts, 0);
  EXPECT_GE(check->schema_version, 2);
}

TEST_F(CheckStore, ChangesNothingNotEvenALogThatAKilledServerLeft) {
  // The state right after kill -9: copied while a store with unmerged writes is open.
  const std::string copy = folder_ / "copy";
  {
    auto store = *OpenSqliteStore(data_);
    JobRecord job;
    job.name = "jobs/late";
    job.create_time = kNow;
    ASSERT_TRUE(store->CreateJob(job, {"made", kNow, "{}"}).ok());
    ASSERT_TRUE(MakeFolders(copy).ok());
    for (const char* file : {"stockpot.db", "stockpot.db-wal"}) {
      std::filesystem::copy_file(data_ + "/" + file, copy + "/" + file);
    }
  }
  const std::string database = Content(copy + "/stockpot.db");
  const std::string log = Content(copy + "/stockpot.db-wal");
  ASSERT_FALSE(log.empty());
  const absl::StatusOr<StoreCheck> check = CheckSqliteStore(copy, data_ + "/artifacts");
  ASSERT_TRUE(check.ok()) << check.status();
  EXPECT_EQ(check->jobs, 3) << "what is in the log counts";
  EXPECT_THAT(check->problems, ElementsAre());
  EXPECT_EQ(Content(copy + "/stockpot.db"), database);
  EXPECT_EQ(Content(copy + "/stockpot.db-wal"), log);
}

TEST_F(CheckStore, FindsEveryKindOfDamage) {
  struct Case {
    const char* sql;
    const char* problem;
  };
  const Case cases[] = {
      {"DELETE FROM events WHERE key = 'begun'", "jobs/done: last_sequence is 3, but there are 2"},
      {"UPDATE jobs SET last_sequence = 9 WHERE name = 'jobs/done'", "last_sequence is 9"},
      {"UPDATE events SET sequence = 7 WHERE key = 'done'", "events up to 7"},
      {"DELETE FROM events WHERE job_id = 2", "jobs/queued: last_sequence is 1, but there are 0"},
      {"PRAGMA foreign_keys = OFF; INSERT INTO events VALUES (99, 1, 'k', 0, '{}')",
       "a row of events belongs to no row of jobs"},
      {"UPDATE jobs SET artifacts = 'x' WHERE name = 'jobs/done'", "its artifacts are no list"},
  };
  const std::string sound = Content(data_ + "/stockpot.db");
  for (const Case& damage : cases) {
    Change(damage.sql);
    EXPECT_THAT(Problems(), ElementsAre(HasSubstr(damage.problem))) << damage.sql;
    std::filesystem::remove(data_ + "/stockpot.db-wal");
    std::filesystem::remove(data_ + "/stockpot.db-shm");
    std::ofstream(data_ + "/stockpot.db", std::ios::binary | std::ios::trunc) << sound;
  }
  EXPECT_THAT(Problems(), ElementsAre());
}

TEST_F(CheckStore, FindsArtifactsThatAreMissingOrOfAnotherSize) {
  ASSERT_TRUE(WriteFileDurably(Soup(), "so").ok());
  EXPECT_THAT(Problems(), ElementsAre("jobs/done: artifact 'soup.safetensors' has 2 bytes, not 4"));
  std::filesystem::remove(Soup());
  EXPECT_THAT(Problems(), ElementsAre("jobs/done: artifact 'soup.safetensors' is missing"));
  Change("UPDATE jobs SET output_folder = '/theirs'");
  EXPECT_THAT(Problems(), ElementsAre()) << "at an output_uri they are the client's";
}

TEST_F(CheckStore, FindsAFileThatIsDamagedOrNoDatabase) {
  std::string bytes = Content(data_ + "/stockpot.db");
  for (size_t i = 4096 + 8; i < bytes.size(); i += 4096) bytes.replace(i, 64, 64, '\x7f');
  std::ofstream(data_ + "/stockpot.db", std::ios::binary | std::ios::trunc) << bytes;
  EXPECT_THAT(Problems(), testing::Not(testing::IsEmpty()));
  std::ofstream(data_ + "/stockpot.db", std::ios::binary | std::ios::trunc)
      << std::string(8192, 'x');
  EXPECT_THAT(Problems(), ElementsAre(HasSubstr("not a database")));
}

TEST_F(CheckStore, RefusesAStoreInUseANewerOneAndNone) {
  {
    auto store = *OpenSqliteStore(data_);
    EXPECT_EQ(Check().status().code(), absl::StatusCode::kFailedPrecondition);
    EXPECT_THAT(std::string(Check().status().message()), HasSubstr("another server"));
  }
  Change("PRAGMA user_version = 99");
  EXPECT_EQ(Check().status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_THAT(std::string(Check().status().message()), HasSubstr("newer stockpotd"));
  EXPECT_EQ(CheckSqliteStore(folder_ / "none", "").status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "none"));
}

}  // namespace
}  // namespace stockpot
