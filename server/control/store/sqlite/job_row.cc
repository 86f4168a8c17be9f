#include "server/control/store/sqlite/job_row.h"

#include <utility>

#include "server/base/json_reader.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

std::map<std::string, std::string> ReadLabels(const std::string& text) {
  std::map<std::string, std::string> labels;
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_object()) return labels;
  for (const auto& [key, value] : json->items()) {
    if (value.is_string()) labels[key] = value.get<std::string>();
  }
  return labels;
}

void BindTime(Statement& statement, int index, const std::optional<absl::Time>& time) {
  if (time.has_value()) {
    statement.Bind(index, absl::ToUnixMicros(*time));
  } else {
    statement.BindNull(index);
  }
}

std::optional<absl::Time> ReadTime(const Statement& row, int column) {
  if (row.IsNull(column)) return std::nullopt;
  return absl::FromUnixMicros(row.Integer(column));
}

}  // namespace

JobRecord ReadJob(const Statement& row) {
  JobRecord job;
  job.name = row.Text(0);
  job.spec = row.Text(1);
  job.display_name = row.Text(2);
  job.labels = ReadLabels(row.Text(3));
  job.priority = static_cast<int>(row.Integer(4));
  job.client = row.Text(5);
  job.request_id = row.Text(6);
  job.request_digest = row.Text(7);
  job.recipe_version = row.Text(8);
  job.create_time = absl::FromUnixMicros(row.Integer(9));
  job.state = ParseJobState(row.Text(10)).value_or(JobState::kFailed);
  job.suspend_reason = row.Text(11);
  if (!row.IsNull(12)) job.error = ParseSerializedStatus(row.Text(12));
  job.start_time = ReadTime(row, 13);
  job.end_time = ReadTime(row, 14);
  job.cancel_requested = row.Integer(15) != 0;
  job.last_sequence = row.Integer(16);
  job.artifacts = row.Text(17);
  job.output_folder = row.Text(18);
  job.artifact_bytes = row.Integer(19);
  job.deadline = ReadTime(row, 20);
  job.report = row.Text(21);
  return job;
}

void BindIdentity(Statement& statement, const JobRecord& job) {
  statement.Bind(1, job.name);
  statement.Bind(2, job.spec);
  statement.Bind(3, job.display_name);
  statement.Bind(4, DumpJson(job.labels));
  statement.Bind(5, int64_t{job.priority});
  statement.Bind(6, job.client);
  statement.Bind(7, job.request_id);
  statement.Bind(8, job.request_digest);
  statement.Bind(9, job.recipe_version);
  statement.Bind(10, absl::ToUnixMicros(job.create_time));
  statement.Bind(20, job.output_folder);
}

void BindCourse(Statement& statement, const JobRecord& job) {
  statement.Bind(11, JobStateName(job.state));
  statement.Bind(12, job.suspend_reason);
  if (job.error.ok()) {
    statement.BindNull(13);
  } else {
    statement.Bind(13, SerializeStatus(job.error));
  }
  BindTime(statement, 14, job.start_time);
  BindTime(statement, 15, job.end_time);
  statement.Bind(16, int64_t{job.cancel_requested ? 1 : 0});
  statement.Bind(17, job.report);
  statement.Bind(18, job.artifacts);
  statement.Bind(19, job.artifact_bytes);
  BindTime(statement, 21, job.deadline);
}

}  // namespace stockpot
