#include "server/control/store/sqlite/check_store.h"

#include <sys/stat.h>

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/files.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/control/store/sqlite/lock_file.h"
#include "server/control/store/sqlite/schema.h"
#include "server/control/store/sqlite/statement.h"

namespace stockpot {
namespace {

constexpr int kMostOfAKind = 100;

// The checks, one after the other: one that a damaged page ends is a problem itself.
class Checker {
 public:
  Checker(Connection* connection, std::string artifact_folder)
      : connection_(connection), artifact_folder_(std::move(artifact_folder)) {}

  absl::StatusOr<StoreCheck> Run() {
    absl::StatusOr<int64_t> version = Number("PRAGMA user_version");
    if (!version.ok()) {
      check_.problems.push_back(std::string(version.status().message()));
      return std::move(check_);
    }
    check_.schema_version = *version;
    if (*version > kSchemaVersion) return NewerSchema(*version);
    if (*version < 1) {
      check_.problems.push_back("the database has no schema");
      return std::move(check_);
    }
    Note(Integrity());
    Note(ForeignKeys());
    Note(Counts());
    Note(Events());
    Note(Artifacts());
    return std::move(check_);
  }

 private:
  void Note(const absl::Status& status) {
    if (!status.ok()) check_.problems.push_back(std::string(status.message()));
  }

  absl::StatusOr<int64_t> Number(const std::string& sql) {
    ASSIGN_OR_RETURN(Statement select, connection_->Prepare(sql));
    RETURN_IF_ERROR(select.Step().status());
    return select.Integer(0);
  }

  // Calls `use` with each row, and counts what it finds wrong ("" for nothing).
  template <typename Use>
  absl::Status ForEachRow(const std::string& sql, const Use& use) {
    ASSIGN_OR_RETURN(Statement select, connection_->Prepare(sql));
    for (int found = 0; found < kMostOfAKind;) {
      ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) break;
      std::string problem = use(select);
      if (problem.empty()) continue;
      ++found;
      check_.problems.push_back(std::move(problem));
    }
    return absl::OkStatus();
  }

  absl::Status Integrity() {
    return ForEachRow("PRAGMA integrity_check", [](const Statement& row) {
      return row.Text(0) == "ok" ? "" : absl::StrCat("integrity: ", row.Text(0));
    });
  }

  absl::Status ForeignKeys() {
    return ForEachRow("PRAGMA foreign_key_check", [](const Statement& row) {
      return absl::StrCat("a row of ", row.Text(0), " belongs to no row of ", row.Text(2));
    });
  }

  absl::Status Counts() {
    ASSIGN_OR_RETURN(check_.jobs, Number("SELECT count(*) FROM jobs"));
    ASSIGN_OR_RETURN(check_.events, Number("SELECT count(*) FROM events"));
    ASSIGN_OR_RETURN(check_.facts, Number("SELECT count(*) FROM facts"));
    return absl::OkStatus();
  }

  absl::Status Events() {
    // Sequences are unique within a job: as many as the largest, from 1 on, have no gap.
    return ForEachRow(
        "SELECT name, last_sequence, count(sequence), coalesce(max(sequence), 0) FROM jobs LEFT "
        "JOIN events ON job_id = jobs.id GROUP BY jobs.id HAVING count(sequence) <> last_sequence "
        "OR coalesce(max(sequence), 0) <> last_sequence OR coalesce(min(sequence), 1) <> 1",
        [](const Statement& row) {
          return absl::StrCat(row.Text(0), ": last_sequence is ", row.Integer(1),
                              ", but there are ", row.Integer(2), " events up to ", row.Integer(3));
        });
  }

  absl::Status Artifacts() {
    const char* own = check_.schema_version < 2 ? "" : " AND output_folder = ''";
    return ForEachRow(
        absl::StrCat("SELECT name, artifacts FROM jobs WHERE state = 'SUCCEEDED'", own),
        [this](const Statement& row) { return ArtifactProblem(row.Text(0), row.Text(1)); });
  }

  // The first thing wrong with a job's files.
  std::string ArtifactProblem(const std::string& job, const std::string& artifacts) {
    const absl::StatusOr<Json> list = ParseJson(artifacts);
    if (!list.ok() || !list->is_array()) return absl::StrCat(job, ": its artifacts are no list");
    const Json object = {{"artifacts", *list}};
    JsonReader reader(object, "");
    for (JsonReader& item : reader.List("artifacts")) {
      std::string file;
      int64_t size = -1;
      item.Read("file", &file);
      item.Read("size_bytes", &size);
      struct stat status = {};
      const std::string path =
          absl::StrCat(artifact_folder_, "/", absl::StripPrefix(job, "jobs/"), "/", file);
      if (file.empty() || lstat(path.c_str(), &status) != 0 || !S_ISREG(status.st_mode)) {
        return absl::StrCat(job, ": artifact '", file, "' is missing");
      }
      if (status.st_size != size) {
        return absl::StrCat(job, ": artifact '", file, "' has ", status.st_size, " bytes, not ",
                            size);
      }
    }
    return reader.violations().empty() ? "" : absl::StrCat(job, ": its artifacts cannot be read");
  }

  Connection* const connection_;
  const std::string artifact_folder_;
  StoreCheck check_;
};

}  // namespace

absl::StatusOr<StoreCheck> CheckSqliteStore(const std::string& folder,
                                            const std::string& artifact_folder) {
  const std::string path = folder + "/stockpot.db";
  struct stat status = {};
  if (stat(path.c_str(), &status) != 0) {
    return Annotate(ErrnoStatus(errno, "no store is there"), path);
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<LockFile> lock, LockFile::Acquire(folder));
  ASSIGN_OR_RETURN(const std::unique_ptr<Connection> connection, Connection::OpenReadOnly(path));
  return Checker(connection.get(), artifact_folder).Run();
}

}  // namespace stockpot
