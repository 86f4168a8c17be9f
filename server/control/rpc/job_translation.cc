#include "server/control/rpc/job_translation.h"

#include <algorithm>
#include <string>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/json_mapping.h"
#include "server/control/rpc/new_job_checks.h"

namespace stockpot {

v1::Job::State ToState(JobState state) {
  switch (state) {
    case JobState::kQueued:
      return v1::Job::QUEUED;
    case JobState::kRunning:
      return v1::Job::RUNNING;
    case JobState::kSuspended:
      return v1::Job::SUSPENDED;
    case JobState::kSucceeded:
      return v1::Job::SUCCEEDED;
    case JobState::kFailed:
      return v1::Job::FAILED;
    case JobState::kCancelled:
      return v1::Job::CANCELLED;
  }
  return v1::Job::STATE_UNSPECIFIED;
}

google::protobuf::Timestamp ToTimestamp(absl::Time time) {
  google::protobuf::Timestamp timestamp;
  const int64_t microseconds = absl::ToUnixMicros(time);
  const int64_t seconds = absl::ToUnixSeconds(time);  // rounds down, so that nanos is not negative
  timestamp.set_seconds(seconds);
  timestamp.set_nanos(static_cast<int>(microseconds - seconds * 1'000'000) * 1'000);
  return timestamp;
}

v1::Progress ToProgress(const JobProgress& progress) {
  v1::Progress result;
  result.set_tasks_done(progress.tasks_done);
  result.set_tasks_total(progress.tasks_total);
  result.set_examples_done(progress.examples_done);
  result.set_examples_total(progress.examples_total);
  result.set_activity(BoundedUtf8(progress.activity, 1000));
  result.set_estimated_seconds_left(progress.estimated_seconds_left);
  return result;
}

absl::StatusOr<v1::Job> ToJob(const JobRecord& record) {
  v1::Job job;
  if (!record.artifacts.empty()) {
    RETURN_IF_ERROR(JsonToMessage(absl::StrCat("{\"artifacts\":", record.artifacts, "}"), &job));
  }
  RETURN_IF_ERROR(JsonToMessage(record.spec, job.mutable_spec()));
  if (!record.report.empty()) {
    RETURN_IF_ERROR(JsonToMessage(record.report, job.mutable_report()));
  }
  job.set_name(record.name);
  job.set_display_name(record.display_name);
  job.mutable_labels()->insert(record.labels.begin(), record.labels.end());
  job.set_priority(record.priority);
  job.set_state(ToState(record.state));
  job.set_suspend_reason(record.suspend_reason);
  if (!record.error.ok()) *job.mutable_error() = ToRpcStatus(record.error);
  *job.mutable_create_time() = ToTimestamp(record.create_time);
  if (record.start_time.has_value()) *job.mutable_start_time() = ToTimestamp(*record.start_time);
  if (record.end_time.has_value()) *job.mutable_end_time() = ToTimestamp(*record.end_time);
  job.set_last_sequence(record.last_sequence);
  job.set_client(record.client);
  return job;
}

absl::StatusOr<v1::Job> ToJob(const JobView& view) {
  ASSIGN_OR_RETURN(v1::Job job, ToJob(view.record));
  *job.mutable_progress() = ToProgress(view.progress);
  return job;
}

absl::StatusOr<v1::JobEvent> ToJobEvent(const EventRecord& record) {
  v1::JobEvent event;
  RETURN_IF_ERROR(JsonToMessage(record.body, &event));
  event.set_sequence(record.sequence);
  *event.mutable_time() = ToTimestamp(record.time);
  return event;
}

absl::Status CheckJobName(const std::string& name) {
  constexpr absl::string_view kPrefix = "jobs/";
  if (absl::StartsWith(name, kPrefix) && IsJobId(absl::string_view(name).substr(5))) {
    return absl::OkStatus();
  }
  return InvalidField("name", "must be jobs/{job}, where {job} is 1 to 63 of a-z, 0-9 and '-'");
}

absl::StatusOr<CheckedJob> ToNewJob(const v1::CreateJobRequest& request, const std::string& client,
                                    const SpecLimits& limits, const AllowList& allowed) {
  ASSIGN_OR_RETURN(std::string spec_text, MessageToJson(request.job().spec()));
  ASSIGN_OR_RETURN(const Json spec_json, ParseJson(spec_text));
  absl::StatusOr<JobSpec> spec = ParseJobSpec(spec_json, "job.spec", limits);
  RETURN_IF_ERROR(WithSpecViolations(CheckRequestFields(request, client), spec.status()));
  RETURN_IF_ERROR(CheckSources(request.job().spec(), allowed));

  CheckedJob checked;
  checked.spec = *std::move(spec);
  NewJob& job = checked.job;
  job.id = request.job_id();
  job.spec = std::move(spec_text);
  job.display_name = request.job().display_name();
  job.labels.insert(request.job().labels().begin(), request.job().labels().end());
  job.priority = request.job().priority();
  job.client = client;
  job.request_id = request.request_id();
  if (!request.job().spec().output().output_uri().empty()) {
    ASSIGN_OR_RETURN(job.output_folder,
                     allowed.CheckOutput(request.job().spec().output().output_uri()));
  }
  return checked;
}

}  // namespace stockpot
