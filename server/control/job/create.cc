// Creating jobs: once for each request_id, and only where there is room.
#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/base/digest.h"
#include "server/base/random_id.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/events.h"
#include "server/control/job/report_files.h"

namespace stockpot {
namespace {

// What the client said, field by field, so that a conflict can name the fields that differ.
std::string RequestDigest(const NewJob& job, const Json& spec) {
  Json fields;
  if (!job.id.empty()) fields["job_id"] = job.id;
  fields["spec"] = spec;
  fields["display_name"] = job.display_name;
  fields["labels"] = job.labels;
  fields["priority"] = job.priority;
  Json digests = Json::object();
  for (const auto& [name, value] : fields.items()) {
    digests[name] = Sha256Hex(DumpJson(value)).substr(0, 16);
  }
  return digests.dump();
}

// JOB_EXISTS that names the fields in which two requests with one request_id differ.
absl::Status DescribeConflict(const JobRecord& theirs, const JobRecord& asked) {
  const absl::StatusOr<Json> before = ParseJson(theirs.request_digest);
  const absl::StatusOr<Json> now = ParseJson(asked.request_digest);
  std::vector<std::string> fields;
  for (const char* field : {"job_id", "spec", "display_name", "labels", "priority"}) {
    if (!before.ok() || !now.ok() || before->value(field, "") != now->value(field, "")) {
      fields.push_back(field);
    }
  }
  ErrorFacts facts;
  facts.reason = "JOB_EXISTS";
  facts.metadata = {{"job", theirs.name}, {"fields", absl::StrJoin(fields, ", ")}};
  return WithFacts(
      absl::AlreadyExistsError(absl::StrCat("request_id was used before, for ", theirs.name,
                                            ", with another ", absl::StrJoin(fields, ", "))),
      facts);
}

absl::Status JobExists(const std::string& name) {
  ErrorFacts facts;
  facts.reason = "JOB_EXISTS";
  facts.metadata = {{"job", name}};
  return WithFacts(absl::AlreadyExistsError(absl::StrCat("there is a job '", name, "' already")),
                   facts);
}

absl::Status CheckJobId(const std::string& id) {
  if (IsJobId(id)) return absl::OkStatus();
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  facts.violations = {{"job_id", "must be 1 to 63 of a-z, 0-9 and '-'"}};
  return WithFacts(absl::InvalidArgumentError("job_id must be 1 to 63 of a-z, 0-9 and '-'"), facts);
}

}  // namespace

bool IsJobId(absl::string_view id) {
  return !id.empty() && id.size() <= 63 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

absl::Status CheckRoom(const std::string& reason, int64_t wanted, int64_t limit, const char* what) {
  if (limit == 0 || wanted <= limit) return absl::OkStatus();
  ErrorFacts facts;
  facts.reason = reason;
  facts.retry_after = absl::Seconds(30);
  return WithFacts(
      absl::ResourceExhaustedError(absl::StrCat("at most ", limit, " ", what, ": ", wanted)),
      facts);
}

std::optional<absl::Time> DeadlineOf(const JobSpec& spec, absl::Time now) {
  if (spec.timeout == absl::InfiniteDuration()) return std::nullopt;
  return now + spec.timeout;
}

absl::Status EngineImpl::CheckIngredients(const std::string& client, int64_t more) {
  int64_t all = more, of_client = more;
  for (const auto& [name, job] : jobs_) {
    all += job.ingredient_count;
    of_client += job.record.client == client ? job.ingredient_count : 0;
  }
  const EngineLimits& limits = options_.limits;
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_INGREDIENTS", all, limits.max_unfinished_ingredients,
                            "ingredients of unfinished jobs on this server"));
  return CheckRoom("TOO_MANY_INGREDIENTS", of_client, limits.max_unfinished_ingredients_of_client,
                   "ingredients of unfinished jobs of one client");
}

absl::Status EngineImpl::CheckRoomFor(const std::string& client, int64_t ingredients) {
  if (draining_) return ServerStopping();
  int64_t jobs_of_client = 0;
  for (const auto& [name, job] : jobs_) jobs_of_client += job.record.client == client ? 1 : 0;
  const EngineLimits& limits = options_.limits;
  const auto jobs = static_cast<int64_t>(jobs_.size());
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_JOBS", jobs + 1, limits.max_unfinished_jobs,
                            "unfinished jobs on this server"));
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_JOBS", jobs_of_client + 1,
                            limits.max_unfinished_jobs_of_client, "unfinished jobs of one client"));
  RETURN_IF_ERROR(CheckIngredients(client, ingredients));
  if (limits.max_artifact_bytes == 0 && limits.max_artifact_bytes_of_client == 0) {
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const auto bytes, store_->ArtifactBytes());
  int64_t all_bytes = 0, bytes_of_client = 0;
  for (const auto& [owner, count] : bytes) {
    all_bytes += count;
    bytes_of_client += owner == client ? count : 0;
  }
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_BYTES", all_bytes, limits.max_artifact_bytes,
                            "bytes of stored artifacts on this server; delete jobs"));
  return CheckRoom("TOO_MANY_BYTES", bytes_of_client, limits.max_artifact_bytes_of_client,
                   "bytes of stored artifacts of one client; delete jobs");
}

absl::Status EngineImpl::CheckOutputIsFree(const std::string& folder) {
  if (folder.empty()) return absl::OkStatus();
  for (const auto& [name, job] : jobs_) {
    if (job.record.output_folder == folder) {
      return OutputExists(absl::StrCat("output_uri is that of ", name, ", which has not ended"));
    }
  }
  return CheckOutputFolder(folder, "");
}

absl::StatusOr<EngineImpl::Request> EngineImpl::ReadRequest(const NewJob& job) const {
  ASSIGN_OR_RETURN(const Json spec, ParseJson(job.spec));
  Request request;
  ASSIGN_OR_RETURN(request.spec, ParseJobSpec(spec, "job.spec", options_.spec_limits));
  const std::string id = job.id.empty() ? RandomId() : job.id;
  RETURN_IF_ERROR(CheckJobId(id));
  JobRecord& record = request.record;
  record.name = absl::StrCat(kNamePrefix, id);
  record.spec = job.spec;
  record.display_name = job.display_name;
  record.labels = job.labels;
  record.priority = job.priority;
  record.client = job.client;
  record.request_id = job.request_id;
  record.request_digest = RequestDigest(job, spec);
  record.recipe_version = Plan(request.spec, {}).recipe_version();
  record.output_folder = job.output_folder;
  return request;
}

absl::StatusOr<std::optional<JobRecord>> EngineImpl::CheckRequest(const Request& request) {
  const JobRecord& record = request.record;
  ASSIGN_OR_RETURN(std::optional<JobRecord> earlier,
                   store_->FindRequest(record.client, record.request_id));
  if (earlier.has_value()) {
    if (earlier->request_digest != record.request_digest) return DescribeConflict(*earlier, record);
    return earlier;
  }
  const absl::Status same_name = store_->GetJob(record.name).status();
  if (same_name.ok()) return JobExists(record.name);
  if (!absl::IsNotFound(same_name)) return same_name;
  RETURN_IF_ERROR(
      CheckRoomFor(record.client, static_cast<int64_t>(request.spec.ingredients.size())));
  RETURN_IF_ERROR(CheckOutputIsFree(record.output_folder));
  return std::nullopt;
}

absl::Status EngineImpl::CheckNewJob(const NewJob& job) {
  ASSIGN_OR_RETURN(const Request request, ReadRequest(job));
  absl::MutexLock hold(&mutex_);
  return CheckRequest(request).status();
}

absl::StatusOr<JobView> EngineImpl::CreateJob(const NewJob& job) {
  ASSIGN_OR_RETURN(Request request, ReadRequest(job));
  JobRecord& record = request.record;
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(std::optional<JobRecord> earlier, CheckRequest(request));
  if (earlier.has_value()) {
    auto found = jobs_.find(earlier->name);
    return found != jobs_.end() ? View(found->second) : JobView{*std::move(earlier), {}};
  }
  record.create_time = clock_->Now();
  record.deadline = DeadlineOf(request.spec, record.create_time);
  ASSIGN_OR_RETURN(Store::Created created,
                   store_->CreateJob(record, StateEvent(record, record.create_time, "")));
  Reach("job_stored");
  log_->Info("job_created", {{"job", record.name},
                             {"idempotency_key", job.request_id},
                             {"client", job.client},
                             {"trace_id", job.trace_id}});
  Job& added = jobs_[record.name];
  added.record = std::move(created.job);
  added.ingredient_count = static_cast<int64_t>(request.spec.ingredients.size());
  Notify(record.name);
  return View(added);
}

}  // namespace stockpot
