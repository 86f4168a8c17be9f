#include "server/control/store/sqlite/schema.h"

#include <array>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr const char* kVersion1 = R"sql(
CREATE TABLE jobs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  spec TEXT NOT NULL,
  display_name TEXT NOT NULL,
  labels TEXT NOT NULL,
  priority INTEGER NOT NULL,
  client TEXT NOT NULL,
  request_id TEXT NOT NULL,
  request_digest TEXT NOT NULL,
  recipe_version TEXT NOT NULL,
  create_time INTEGER NOT NULL,
  state TEXT NOT NULL,
  suspend_reason TEXT NOT NULL,
  error TEXT,
  start_time INTEGER,
  end_time INTEGER,
  cancel_requested INTEGER NOT NULL,
  report TEXT NOT NULL,
  artifacts TEXT NOT NULL,
  last_sequence INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX jobs_by_request ON jobs (client, request_id) WHERE request_id <> '';
CREATE INDEX jobs_by_age ON jobs (create_time DESC, name);
CREATE INDEX jobs_by_state ON jobs (state, create_time);

CREATE TABLE events (
  job_id INTEGER NOT NULL REFERENCES jobs (id) ON DELETE CASCADE,
  sequence INTEGER NOT NULL,
  key TEXT NOT NULL,
  time INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY (job_id, sequence),
  UNIQUE (job_id, key)
) STRICT, WITHOUT ROWID;

CREATE TABLE tasks (
  key TEXT PRIMARY KEY,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  running INTEGER NOT NULL,
  owner TEXT NOT NULL,
  lease_until INTEGER NOT NULL,
  fence INTEGER NOT NULL,
  attempt INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX tasks_by_job ON tasks (job);

CREATE TABLE facts (
  key TEXT NOT NULL,
  scope TEXT NOT NULL,
  job TEXT NOT NULL,
  kind TEXT NOT NULL,
  status TEXT NOT NULL,
  result TEXT NOT NULL,
  examples BLOB NOT NULL,
  seconds REAL NOT NULL,
  UNIQUE (key, scope)
) STRICT;
CREATE INDEX facts_by_job ON facts (job);

CREATE TABLE fences (last INTEGER NOT NULL) STRICT;
INSERT INTO fences VALUES (0);
)sql";

// Jobs say where their artifacts are and how large; facts have an age.
constexpr const char* kVersion2 = R"sql(
ALTER TABLE jobs ADD COLUMN output_folder TEXT NOT NULL DEFAULT '';
ALTER TABLE jobs ADD COLUMN deadline INTEGER;
ALTER TABLE jobs ADD COLUMN artifact_bytes INTEGER NOT NULL DEFAULT 0;
UPDATE jobs SET artifact_bytes = (
  SELECT coalesce(sum(json_extract(value, '$.size_bytes')), 0) FROM json_each(artifacts))
  WHERE artifacts <> '' AND json_valid(artifacts);
CREATE INDEX jobs_by_end ON jobs (end_time, name) WHERE end_time IS NOT NULL;
CREATE INDEX jobs_by_priority ON jobs (priority, create_time, name);
ALTER TABLE facts ADD COLUMN found_time INTEGER NOT NULL DEFAULT 0;
CREATE INDEX facts_by_age ON facts (found_time) WHERE kind = 'measure';
)sql";

// All that other jobs may use has an age, not measures alone.
constexpr const char* kVersion3 = R"sql(
CREATE INDEX facts_of_several_by_age ON facts (found_time) WHERE kind IN
  ('measure_ensemble', 'measure_gap', 'learn_coefficients', 'compare_weights');
)sql";

constexpr std::array<const char*, 3> kMigrations = {kVersion1, kVersion2, kVersion3};

}  // namespace

const int64_t kSchemaVersion = static_cast<int64_t>(kMigrations.size());

absl::Status NewerSchema(int64_t version) {
  return absl::FailedPreconditionError(
      absl::StrCat("the store was written by a newer stockpotd (schema ", version,
                   ", this one knows ", kSchemaVersion, "): run that one"));
}

absl::Status Migrate(Connection* connection) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection));
  size_t version = 0;
  {
    ASSIGN_OR_RETURN(Statement read, connection->Prepare("PRAGMA user_version"));
    RETURN_IF_ERROR(read.Step().status());
    version = static_cast<size_t>(read.Integer(0));
  }
  if (version > kMigrations.size()) return NewerSchema(static_cast<int64_t>(version));
  for (; version < kMigrations.size(); ++version) {
    RETURN_IF_ERROR(connection->Run(kMigrations[version]));
  }
  RETURN_IF_ERROR(
      connection->Run(absl::StrCat("PRAGMA user_version = ", kMigrations.size()).c_str()));
  return transaction.Commit();
}

}  // namespace stockpot
