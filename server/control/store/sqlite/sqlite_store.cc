#include "server/control/store/sqlite/sqlite_store.h"

#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/store/sqlite/job_row.h"
#include "server/control/store/sqlite/lock_file.h"
#include "server/control/store/sqlite/schema.h"

namespace stockpot {
namespace {

absl::Status JobNotFound(const std::string& name) {
  return WithReason(absl::NotFoundError(absl::StrCat("no job '", name, "'")), "JOB_NOT_FOUND");
}

absl::Status JobExists(const std::string& message, const std::string& job) {
  return WithMetadata(WithReason(absl::AlreadyExistsError(message), "JOB_EXISTS"), "job", job);
}

// A write that named a fence must have hit one row.
absl::Status CheckFence(int64_t changes) {
  if (changes == 1) return absl::OkStatus();
  return WithReason(absl::AbortedError("the claim has ended or was taken over"), "STALE_FENCE");
}

struct OrderClauses {
  const char* order_by;
  const char* after;  // " AND …": what comes after (?2 create_time, ?3 name, ?5 priority)
  bool by_priority;
};

OrderClauses ClausesOf(JobOrder order) {
  switch (order) {
    case JobOrder::kNewestFirst:
      break;
    case JobOrder::kOldestFirst:
      return {"create_time, name", " AND (create_time, name) > (?2, ?3)", false};
    case JobOrder::kHighestPriorityFirst:
      return {"priority DESC, create_time DESC, name",
              " AND (-priority, -create_time, name) > (-?5, -?2, ?3)", true};
    case JobOrder::kLowestPriorityFirst:
      return {"priority, create_time DESC, name",
              " AND (priority, -create_time, name) > (?5, -?2, ?3)", true};
  }
  return {"create_time DESC, name", " AND (create_time < ?2 OR (create_time = ?2 AND name > ?3))",
          false};
}

class SqliteStore final : public Store {
 public:
  SqliteStore(std::unique_ptr<LockFile> lock, std::unique_ptr<Connection> connection)
      : lock_(std::move(lock)), connection_(std::move(connection)) {}

  absl::StatusOr<Created> CreateJob(const JobRecord& job, const NewEvent& event) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    if (!job.request_id.empty()) {
      ASSIGN_OR_RETURN(std::optional<JobRecord> earlier, JobOfRequest(job.client, job.request_id));
      if (earlier.has_value()) {
        if (earlier->request_digest == job.request_digest) return Created{*earlier, true};
        return JobExists("request_id was used before, for another job", earlier->name);
      }
    }
    if (FindJob(job.name, kJobColumnsWithoutReport).ok()) {
      return JobExists(absl::StrCat("there is a job '", job.name, "' already"), job.name);
    }
    {
      ASSIGN_OR_RETURN(
          Statement insert,
          connection_->Prepare(
              "INSERT INTO jobs (name, spec, display_name, labels, priority, client, request_id, "
              "request_digest, recipe_version, create_time, state, suspend_reason, error, "
              "start_time, end_time, cancel_requested, report, artifacts, artifact_bytes, "
              "output_folder, deadline, last_sequence) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, "
              "?10, ?11, "
              "?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, 0)"));
      BindIdentity(insert, job);
      BindCourse(insert, job);
      RETURN_IF_ERROR(insert.Run());
    }
    RETURN_IF_ERROR(AppendEvents(job.name, {event}).status());
    ASSIGN_OR_RETURN(JobRecord stored, FindJob(job.name, kJobColumns));
    RETURN_IF_ERROR(transaction.Commit());
    return Created{std::move(stored), false};
  }

  absl::StatusOr<std::optional<JobRecord>> FindRequest(const std::string& client,
                                                       const std::string& request_id) override {
    absl::MutexLock hold(&mutex_);
    return JobOfRequest(client, request_id);
  }

  absl::StatusOr<JobRecord> GetJob(const std::string& name) override {
    absl::MutexLock hold(&mutex_);
    return FindJob(name, kJobColumns);
  }

  absl::StatusOr<std::vector<JobRecord>> ListJobs(const JobQuery& query) override {
    absl::MutexLock hold(&mutex_);
    std::string where = "WHERE 1";
    if (query.state.has_value()) where += " AND state = ?1";
    const OrderClauses clauses = ClausesOf(query.order);
    if (query.after.has_value()) where += clauses.after;
    if (query.client.has_value()) where += " AND client = ?6";
    int parameter = 7;
    for (size_t i = 0; i < query.labels.size(); ++i, parameter += 2) {
      absl::StrAppend(&where, " AND EXISTS (SELECT 1 FROM json_each(labels) AS label WHERE ",
                      "label.key = ?", parameter, " AND label.value = ?", parameter + 1, ")");
    }
    absl::StrAppend(&where, " ORDER BY ", clauses.order_by, " LIMIT ?4");
    return SelectJobs(where, kJobColumnsWithoutReport, [&](Statement& select) {
      if (query.state.has_value()) select.Bind(1, JobStateName(*query.state));
      if (query.after.has_value()) {
        select.Bind(2, absl::ToUnixMicros(query.after->create_time));
        select.Bind(3, query.after->name);
        if (clauses.by_priority) select.Bind(5, int64_t{query.after->priority});
      }
      select.Bind(4, int64_t{query.limit});
      if (query.client.has_value()) select.Bind(6, *query.client);
      int next = 7;
      for (const auto& [key, value] : query.labels) {
        select.Bind(next++, key);
        select.Bind(next++, value);
      }
    });
  }

  absl::StatusOr<std::vector<JobRecord>> ListUnfinishedJobs() override {
    absl::MutexLock hold(&mutex_);
    return SelectJobs(
        "WHERE state IN ('QUEUED', 'RUNNING', 'SUSPENDED') ORDER BY create_time, name",
        kJobColumnsWithoutReport, [](Statement&) {});
  }

  absl::StatusOr<std::vector<JobRecord>> ListEndedJobs(absl::Time ended_before, int64_t min_bytes,
                                                       int limit) override {
    absl::MutexLock hold(&mutex_);
    return SelectJobs(
        "WHERE end_time < ?1 AND artifact_bytes >= ?3 AND state IN ('SUCCEEDED', 'FAILED', "
        "'CANCELLED') "
        "ORDER BY end_time, name LIMIT ?2",
        kJobColumnsWithoutReport, [&](Statement& select) {
          select.Bind(1, absl::ToUnixMicros(ended_before));
          select.Bind(2, int64_t{limit});
          select.Bind(3, min_bytes);
        });
  }

  absl::StatusOr<std::map<std::string, int64_t>> ArtifactBytes() override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Statement select,
                     connection_->Prepare("SELECT client, sum(artifact_bytes) FROM jobs "
                                          "WHERE artifact_bytes > 0 GROUP BY client"));
    std::map<std::string, int64_t> bytes;
    while (true) {
      ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return bytes;
      bytes[select.Text(0)] = select.Integer(1);
    }
  }

  absl::StatusOr<int64_t> UpdateJob(const JobRecord& job,
                                    const std::vector<NewEvent>& events) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    {
      ASSIGN_OR_RETURN(Statement update,
                       connection_->Prepare(
                           "UPDATE jobs SET state = ?11, suspend_reason = ?12, error = ?13, "
                           "start_time = ?14, end_time = ?15, cancel_requested = ?16, "
                           "report = ?17, artifacts = ?18, artifact_bytes = ?19, deadline = ?21 "
                           "WHERE name = ?1"));
      update.Bind(1, job.name);
      BindCourse(update, job);
      RETURN_IF_ERROR(update.Run());
      if (connection_->changes() != 1) return JobNotFound(job.name);
    }
    ASSIGN_OR_RETURN(const int64_t last, AppendEvents(job.name, events));
    RETURN_IF_ERROR(transaction.Commit());
    return last;
  }

  absl::Status DeleteJob(const std::string& name) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    RETURN_IF_ERROR(RunFor(name, "DELETE FROM jobs WHERE name = ?1"));  // its events with it
    if (connection_->changes() != 1) return JobNotFound(name);
    RETURN_IF_ERROR(RunFor(name, "DELETE FROM tasks WHERE job = ?1"));
    RETURN_IF_ERROR(RunFor(name,
                           "DELETE FROM facts WHERE job = ?1 AND (scope <> '' OR kind NOT IN "
                           "('measure', 'measure_ensemble', 'measure_gap', 'learn_coefficients', "
                           "'compare_weights'))"));
    return transaction.Commit();
  }

  absl::StatusOr<std::vector<EventRecord>> ReadEvents(const std::string& job, int64_t after,
                                                      int limit) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(const int64_t id, JobId(job));
    ASSIGN_OR_RETURN(Statement select,
                     connection_->Prepare("SELECT sequence, time, key, body FROM events WHERE "
                                          "job_id = ?1 AND sequence > ?2 ORDER BY sequence "
                                          "LIMIT ?3"));
    select.Bind(1, id);
    select.Bind(2, after);
    select.Bind(3, int64_t{limit});
    std::vector<EventRecord> events;
    while (true) {
      ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return events;
      events.push_back({select.Integer(0), absl::FromUnixMicros(select.Integer(1)), select.Text(2),
                        select.Text(3)});
    }
  }

  absl::StatusOr<TaskClaim> ClaimTask(const std::string& job, const Task& task,
                                      const std::string& owner, absl::Time now,
                                      absl::Time lease_until) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    RETURN_IF_ERROR(connection_->Run("UPDATE fences SET last = last + 1"));
    ASSIGN_OR_RETURN(
        Statement upsert,
        connection_->Prepare(
            "INSERT INTO tasks (key, job, kind, running, owner, lease_until, fence, attempt) "
            "VALUES (?1, ?2, ?3, 1, ?4, ?5, (SELECT last FROM fences), 1) "
            "ON CONFLICT (key) DO UPDATE SET job = excluded.job, running = 1, "
            "owner = excluded.owner, lease_until = excluded.lease_until, fence = excluded.fence, "
            "attempt = attempt + 1 WHERE running = 0 OR tasks.lease_until <= ?6 "
            "RETURNING fence, attempt"));
    upsert.Bind(1, task.key);
    upsert.Bind(2, job);
    upsert.Bind(3, task.kind());
    upsert.Bind(4, owner);
    upsert.Bind(5, absl::ToUnixMicros(lease_until));
    upsert.Bind(6, absl::ToUnixMicros(now));
    ASSIGN_OR_RETURN(const bool claimed, upsert.Step());
    if (!claimed) {
      return WithReason(absl::AbortedError("another server runs this task"), "TASK_CLAIMED");
    }
    TaskClaim claim;
    claim.fence = upsert.Integer(0);
    claim.attempt = static_cast<int>(upsert.Integer(1));
    // RETURNING hands out its rows before the statement ends; the commit needs it to have ended.
    RETURN_IF_ERROR(upsert.Step().status());
    RETURN_IF_ERROR(transaction.Commit());
    return claim;
  }

  absl::Status RenewLease(const std::string& key, int64_t fence, absl::Time lease_until) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Statement update,
                     connection_->Prepare("UPDATE tasks SET lease_until = ?3 WHERE key = ?1 AND "
                                          "fence = ?2 AND running = 1"));
    update.Bind(1, key);
    update.Bind(2, fence);
    update.Bind(3, absl::ToUnixMicros(lease_until));
    RETURN_IF_ERROR(update.Run());
    return CheckFence(connection_->changes());
  }

  absl::Status FinishTask(const std::string& task_key, int64_t fence, const Fact& fact,
                          absl::Time now) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    RETURN_IF_ERROR(EndClaim(task_key, fence));
    {
      // A fact is never replaced; a failure may be, by the same job's next attempt.
      ASSIGN_OR_RETURN(
          Statement insert,
          connection_->Prepare(absl::StrCat(
              "INSERT OR ", fact.status.ok() ? "IGNORE" : "REPLACE",
              " INTO facts (key, scope, job, kind, status, result, examples, seconds, "
              "found_time) VALUES "
              "(?1, ?2, ?3, (SELECT kind FROM tasks WHERE key = ?9), ?4, ?5, ?6, ?7, ?8)")));
      insert.Bind(1, fact.key);
      insert.Bind(2, fact.status.ok() ? "" : fact.job);
      insert.Bind(3, fact.job);
      insert.Bind(4, fact.status.ok() ? "" : SerializeStatus(fact.status));
      insert.Bind(5, fact.result.is_null() ? "{}" : DumpJson(fact.result));
      insert.BindBlob(6, fact.examples);
      insert.Bind(7, fact.seconds);
      insert.Bind(8, absl::ToUnixMicros(now));
      insert.Bind(9, task_key);
      RETURN_IF_ERROR(insert.Run());
    }
    return transaction.Commit();
  }

  absl::Status ReleaseTask(const std::string& key, int64_t fence) override {
    absl::MutexLock hold(&mutex_);
    return EndClaim(key, fence);
  }

  absl::Status HandBackTask(const std::string& key, int64_t fence) override {
    absl::MutexLock hold(&mutex_);
    return EndClaim(key, fence, /*attempts_back=*/1);
  }

  absl::StatusOr<std::vector<Fact>> FindFacts(const std::string& job,
                                              const std::vector<std::string>& keys) override {
    absl::MutexLock hold(&mutex_);
    std::vector<Fact> facts;
    for (const std::string& key : keys) {
      ASSIGN_OR_RETURN(Statement select,
                       connection_->Prepare("SELECT job, status, result, seconds FROM facts WHERE "
                                            "key = ?1 AND scope IN ('', ?2) "
                                            "ORDER BY scope DESC LIMIT 1"));
      select.Bind(1, key);
      select.Bind(2, job);
      ASSIGN_OR_RETURN(const bool found, select.Step());
      if (!found) continue;
      Fact fact;
      fact.key = key;
      fact.job = select.Text(0);
      const std::string status = select.Text(1);
      if (!status.empty()) fact.status = ParseSerializedStatus(status);
      absl::StatusOr<Json> result = ParseJson(select.Text(2));
      if (!result.ok()) return absl::DataLossError("the store holds a fact that is not JSON");
      fact.result = *std::move(result);
      fact.seconds = select.Real(3);
      facts.push_back(std::move(fact));
    }
    return facts;
  }

  absl::StatusOr<std::string> ReadExamples(const std::string& key) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Statement select, connection_->Prepare("SELECT examples FROM facts WHERE "
                                                            "key = ?1 AND scope = ''"));
    select.Bind(1, key);
    ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) return absl::NotFoundError("no such fact");
    return select.Text(0);
  }

  absl::Status ForgetFailures(const std::string& job) override {
    absl::MutexLock hold(&mutex_);
    ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(connection_.get()));
    RETURN_IF_ERROR(RunFor(job, "DELETE FROM facts WHERE scope = ?1"));
    RETURN_IF_ERROR(RunFor(job, "UPDATE tasks SET attempt = 0 WHERE job = ?1"));
    return transaction.Commit();
  }

  absl::StatusOr<int64_t> ForgetMeasures(absl::Time found_before) override {
    absl::MutexLock hold(&mutex_);
    int64_t forgotten = 0;
    // As the indices by age have it, so that they are used.
    for (const char* kinds : {"kind = 'measure'",
                              "kind IN ('measure_ensemble', 'measure_gap', 'learn_coefficients', "
                              "'compare_weights')"}) {
      ASSIGN_OR_RETURN(
          Statement statement,
          connection_->Prepare(absl::StrCat("DELETE FROM facts WHERE ", kinds,
                                            " AND found_time < ?1 AND NOT EXISTS "
                                            "(SELECT 1 FROM jobs WHERE jobs.name = facts.job)")));
      statement.Bind(1, absl::ToUnixMicros(found_before));
      RETURN_IF_ERROR(statement.Run());
      forgotten += connection_->changes();
    }
    return forgotten;
  }

 private:
  absl::Status RunFor(const std::string& job, const char* sql)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(Statement statement, connection_->Prepare(sql));
    statement.Bind(1, job);
    return statement.Run();
  }

  template <typename BindParameters>
  absl::StatusOr<std::vector<JobRecord>> SelectJobs(const std::string& where, const char* columns,
                                                    BindParameters bind_parameters)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(Statement select,
                     connection_->Prepare(absl::StrCat("SELECT ", columns, " FROM jobs ", where)));
    bind_parameters(select);
    std::vector<JobRecord> jobs;
    while (true) {
      ASSIGN_OR_RETURN(const bool row, select.Step());
      if (!row) return jobs;
      jobs.push_back(ReadJob(select));
    }
  }

  absl::StatusOr<JobRecord> FindJob(const std::string& name, const char* columns)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(
        std::vector<JobRecord> jobs,
        SelectJobs("WHERE name = ?1", columns, [&](Statement& select) { select.Bind(1, name); }));
    if (jobs.empty()) return JobNotFound(name);
    return std::move(jobs.front());
  }

  absl::StatusOr<std::optional<JobRecord>> JobOfRequest(const std::string& client,
                                                        const std::string& request_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (request_id.empty()) return std::nullopt;  // the index knows of no such row
    ASSIGN_OR_RETURN(std::vector<JobRecord> jobs,
                     SelectJobs("WHERE client = ?1 AND request_id = ?2 AND request_id <> ''",
                                kJobColumns, [&](Statement& select) {
                                  select.Bind(1, client);
                                  select.Bind(2, request_id);
                                }));
    if (jobs.empty()) return std::nullopt;
    return std::move(jobs.front());
  }

  absl::StatusOr<int64_t> JobId(const std::string& name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(Statement select, connection_->Prepare("SELECT id FROM jobs WHERE name = ?1"));
    select.Bind(1, name);
    ASSIGN_OR_RETURN(const bool found, select.Step());
    if (!found) return JobNotFound(name);
    return select.Integer(0);
  }

  // Returns the job's last sequence.
  absl::StatusOr<int64_t> AppendEvents(const std::string& job, const std::vector<NewEvent>& events)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(const int64_t id, JobId(job));
    int64_t last = 0;
    {
      ASSIGN_OR_RETURN(Statement read,
                       connection_->Prepare("SELECT last_sequence FROM jobs WHERE id = ?1"));
      read.Bind(1, id);
      RETURN_IF_ERROR(read.Step().status());
      last = read.Integer(0);
    }
    for (const NewEvent& event : events) {
      ASSIGN_OR_RETURN(
          Statement insert,
          connection_->Prepare("INSERT INTO events (job_id, sequence, key, time, body) VALUES "
                               "(?1, ?2, ?3, ?4, ?5) ON CONFLICT (job_id, key) DO NOTHING"));
      insert.Bind(1, id);
      insert.Bind(2, last + 1);
      insert.Bind(3, event.key);
      insert.Bind(4, absl::ToUnixMicros(event.time));
      insert.Bind(5, event.body);
      RETURN_IF_ERROR(insert.Run());
      if (connection_->changes() == 1) ++last;
    }
    ASSIGN_OR_RETURN(Statement update,
                     connection_->Prepare("UPDATE jobs SET last_sequence = ?2 WHERE id = ?1"));
    update.Bind(1, id);
    update.Bind(2, last);
    RETURN_IF_ERROR(update.Run());
    return last;
  }

  absl::Status EndClaim(const std::string& key, int64_t fence, int64_t attempts_back = 0)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    ASSIGN_OR_RETURN(Statement update,
                     connection_->Prepare("UPDATE tasks SET running = 0, attempt = attempt - ?3 "
                                          "WHERE key = ?1 AND fence = ?2 AND running = 1"));
    update.Bind(1, key);
    update.Bind(2, fence);
    update.Bind(3, attempts_back);
    RETURN_IF_ERROR(update.Run());
    return CheckFence(connection_->changes());
  }

  absl::Mutex mutex_;
  const std::unique_ptr<LockFile> lock_;  // released last
  const std::unique_ptr<Connection> connection_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace

absl::StatusOr<std::unique_ptr<Store>> OpenSqliteStore(const std::string& folder) {
  RETURN_IF_ERROR(Annotate(MakeFolders(folder, /*only_owner=*/true), folder));
  ASSIGN_OR_RETURN(std::unique_ptr<LockFile> lock, LockFile::Acquire(folder));
  const std::string path = folder + "/stockpot.db";
  ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection, Connection::Open(path));
  RETURN_IF_ERROR(Annotate(connection->Run("PRAGMA journal_mode = WAL;"
                                           "PRAGMA synchronous = FULL;"
                                           "PRAGMA foreign_keys = ON;"
                                           "PRAGMA trusted_schema = OFF;"),
                           path));
  RETURN_IF_ERROR(Annotate(Migrate(connection.get()), path));
  // Whoever held them is dead: the lock file is ours.
  RETURN_IF_ERROR(
      Annotate(connection->Run("UPDATE tasks SET running = 0 WHERE running = 1"), path));
  return std::unique_ptr<Store>(new SqliteStore(std::move(lock), std::move(connection)));
}

}  // namespace stockpot
