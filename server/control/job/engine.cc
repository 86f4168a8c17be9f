#include <algorithm>
#include <cctype>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/control/job/engine_impl.h"
#include "server/control/job/events.h"
#include "server/control/job/report_files.h"

namespace stockpot {
namespace {

constexpr absl::string_view kNamePrefix = "jobs/";

std::string RandomId() {
  std::random_device random;
  return absl::StrFormat("%08x%08x", random(), random());
}

bool IsJobId(absl::string_view id) {
  return !id.empty() && id.size() <= 63 && std::all_of(id.begin(), id.end(), [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-';
  });
}

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

// `limit` 0: none.
absl::Status CheckRoom(const std::string& reason, int64_t wanted, int64_t limit, const char* what) {
  if (limit == 0 || wanted <= limit) return absl::OkStatus();
  ErrorFacts facts;
  facts.reason = reason;
  facts.retry_after = absl::Seconds(30);
  return WithFacts(
      absl::ResourceExhaustedError(absl::StrCat("at most ", limit, " ", what, ": ", wanted)),
      facts);
}

absl::Status CheckJobId(const std::string& id) {
  if (IsJobId(id)) return absl::OkStatus();
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  facts.violations = {{"job_id", "must be 1 to 63 of a-z, 0-9 and '-'"}};
  return WithFacts(absl::InvalidArgumentError("job_id must be 1 to 63 of a-z, 0-9 and '-'"), facts);
}

int64_t IngredientCount(const JobRecord& job) {
  const absl::StatusOr<Json> spec = ParseJson(job.spec);
  if (!spec.ok() || !spec->is_object() || !spec->contains("ingredients")) return 0;
  return static_cast<int64_t>(spec->at("ingredients").size());
}

absl::Status JobEnded(const JobRecord& job) {
  return WithReason(absl::FailedPreconditionError(
                        absl::StrCat(job.name, " has ended: it is ", JobStateName(job.state))),
                    "JOB_ENDED");
}

absl::Status JobNotEnded(const JobRecord& job) {
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        job.name, " is ", JobStateName(job.state), ": cancel it first")),
                    "JOB_NOT_ENDED");
}

}  // namespace

std::string StorageTrouble(const absl::Status& status) {
  const std::string reason = GetErrorFacts(status).reason;
  if (reason == "DISK_FULL" || reason == "STORAGE_READ_ONLY") return reason;
  if (absl::IsResourceExhausted(status) && reason.empty()) return "DISK_FULL";
  return absl::IsPermissionDenied(status) && reason.empty() ? "STORAGE_READ_ONLY" : "";
}

absl::Status ServerStopping() {
  ErrorFacts facts;
  facts.reason = "SERVER_STOPPING";
  facts.retry_after = absl::Seconds(5);
  return WithFacts(absl::UnavailableError("the server is stopping"), facts);
}

absl::StatusOr<std::unique_ptr<Engine>> Engine::Create(Options options, Store* store, Clock* clock,
                                                       Log* log, EngineObserver* observer) {
  auto engine = std::make_unique<EngineImpl>(std::move(options), store, clock, log, observer);
  RETURN_IF_ERROR(engine->Start());
  return engine;
}

EngineImpl::EngineImpl(Options options, Store* store, Clock* clock, Log* log,
                       EngineObserver* observer)
    : options_(std::move(options)),
      store_(store),
      clock_(clock),
      log_(log),
      observer_(observer),
      owner_(RandomId()) {}

EngineImpl::~EngineImpl() { Stop(); }

absl::Status EngineImpl::Start() {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(std::vector<JobRecord> unfinished, store_->ListUnfinishedJobs());
  for (JobRecord& record : unfinished) {
    Job& job = jobs_[record.name];
    job.ingredient_count = IngredientCount(record);
    job.record = std::move(record);
  }
  log_->Info("engine_started", {{"unfinished_jobs", absl::StrCat(jobs_.size())}});
  if (options_.own_thread) thread_ = std::thread([this] { Loop(); });
  return absl::OkStatus();
}

void EngineImpl::Loop() {
  while (true) {
    Turn();
    absl::MutexLock hold(&mutex_);
    if (!wake_ && !stopping_) changed_.WaitWithTimeout(&mutex_, options_.tick);
    if (stopping_) return;
  }
}

bool EngineImpl::Turn() {
  std::vector<std::function<void()>> calls;
  std::set<std::string> jobs;
  {
    absl::MutexLock hold(&mutex_);
    if (stopping_) return false;
    wake_ = false;
    Pass();
    calls.swap(outbox_);
    jobs.swap(to_notify_);
  }
  for (const std::function<void()>& call : calls) call();
  for (const std::string& job : jobs) subscriptions_.Notify(job);
  absl::MutexLock hold(&mutex_);
  return wake_;
}

void EngineImpl::Pass() {
  CheckLeases();
  if (clock_->Now() >= store_retry_at_) {
    store_retry_at_ = absl::InfinitePast();
    SettleAttempts();
    ResumeSuspended();
    AdvanceJobs();
    CheckJobLimits();
    if (!draining_) AssignTasks();
    ForgetTheOld();
  }
  TellProgress();
  ReportCounts();
}

void EngineImpl::Reach(absl::string_view fail_point) const {
  if (options_.fail_points != nullptr) options_.fail_points->Reach(fail_point);
}

void EngineImpl::Wake() {
  wake_ = true;
  changed_.Signal();
}

void EngineImpl::Notify(const std::string& job) {
  to_notify_.insert(job);
  Wake();
}

void EngineImpl::Drain() {
  absl::MutexLock hold(&mutex_);
  draining_ = true;
  for (LooseTask& task : loose_tasks_) {
    outbox_.push_back([done = std::move(task.done), key = task.task.key] {
      done(Fact{key, ServerStopping(), {}, "", 0, ""});
    });
  }
  loose_tasks_.clear();
  Wake();
}

void EngineImpl::Stop() {
  Drain();
  {
    absl::MutexLock hold(&mutex_);
    if (stopping_) return;
    stopping_ = true;
    Wake();
  }
  if (thread_.joinable()) thread_.join();
  std::vector<std::function<void()>> calls;
  {
    absl::MutexLock hold(&mutex_);
    SettleAttempts();  // what had arrived
    for (auto& [id, attempt] : attempts_) {
      if (attempt.done != nullptr) {
        outbox_.push_back([done = std::move(attempt.done), key = attempt.task.key] {
          done(Fact{key, ServerStopping(), {}, "", 0, ""});
        });
      } else {
        store_->ReleaseTask(attempt.task.key, attempt.claim.fence).IgnoreError();
      }
    }
    attempts_.clear();
    running_.clear();
    for (auto& [id, worker] : workers_) {
      worker.assignment.clear();
      Post(worker.link, [](WorkerLink* link) { link->Shutdown(); });
    }
    calls.swap(outbox_);
  }
  for (const std::function<void()>& call : calls) call();
}

absl::Status EngineImpl::CheckRoomFor(const std::string& client, int64_t ingredients) {
  if (draining_) return ServerStopping();
  int64_t jobs_of_client = 0, all_ingredients = 0, ingredients_of_client = 0;
  for (const auto& [name, job] : jobs_) {
    const bool same = job.record.client == client;
    jobs_of_client += same ? 1 : 0;
    all_ingredients += job.ingredient_count;
    ingredients_of_client += same ? job.ingredient_count : 0;
  }
  const EngineLimits& limits = options_.limits;
  const auto jobs = static_cast<int64_t>(jobs_.size());
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_JOBS", jobs + 1, limits.max_unfinished_jobs,
                            "unfinished jobs on this server"));
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_JOBS", jobs_of_client + 1,
                            limits.max_unfinished_jobs_of_client, "unfinished jobs of one client"));
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_INGREDIENTS", all_ingredients + ingredients,
                            limits.max_unfinished_ingredients,
                            "ingredients of unfinished jobs on this server"));
  RETURN_IF_ERROR(CheckRoom("TOO_MANY_INGREDIENTS", ingredients_of_client + ingredients,
                            limits.max_unfinished_ingredients_of_client,
                            "ingredients of unfinished jobs of one client"));
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

absl::Status EngineImpl::CheckRoomForJob(const NewJob& job, int64_t ingredient_count) {
  absl::MutexLock hold(&mutex_);
  RETURN_IF_ERROR(CheckRoomFor(job.client, ingredient_count));
  return CheckOutputIsFree(job.output_folder);
}

absl::StatusOr<JobView> EngineImpl::CreateJob(const NewJob& job) {
  ASSIGN_OR_RETURN(const Json spec, ParseJson(job.spec));
  ASSIGN_OR_RETURN(const JobSpec parsed, ParseJobSpec(spec, "job.spec", options_.spec_limits));
  const std::string id = job.id.empty() ? RandomId() : job.id;
  RETURN_IF_ERROR(CheckJobId(id));
  JobRecord record;
  record.name = absl::StrCat(kNamePrefix, id);
  record.spec = job.spec;
  record.display_name = job.display_name;
  record.labels = job.labels;
  record.priority = job.priority;
  record.client = job.client;
  record.request_id = job.request_id;
  record.request_digest = RequestDigest(job, spec);
  record.recipe_version = Plan(parsed, {}).recipe_version();
  record.output_folder = job.output_folder;

  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(std::optional<JobRecord> earlier,
                   store_->FindRequest(record.client, record.request_id));
  if (earlier.has_value()) {
    if (earlier->request_digest != record.request_digest) return DescribeConflict(*earlier, record);
    auto found = jobs_.find(earlier->name);
    return found != jobs_.end() ? View(found->second) : JobView{*std::move(earlier), {}};
  }
  const auto ingredients = static_cast<int64_t>(parsed.ingredients.size());
  RETURN_IF_ERROR(CheckRoomFor(job.client, ingredients));
  RETURN_IF_ERROR(CheckOutputIsFree(record.output_folder));
  record.create_time = clock_->Now();
  if (parsed.timeout < absl::InfiniteDuration()) {
    record.deadline = record.create_time + parsed.timeout;
  }
  ASSIGN_OR_RETURN(Store::Created created,
                   store_->CreateJob(record, StateEvent(record, record.create_time, "")));
  Reach("job_stored");
  log_->Info("job_created",
             {{"job", record.name}, {"request_id", job.request_id}, {"client", job.client}});
  Job& added = jobs_[record.name];
  added.record = std::move(created.job);
  added.ingredient_count = ingredients;
  Notify(record.name);
  return View(added);
}

absl::Status EngineImpl::DescribeConflict(const JobRecord& theirs, const JobRecord& asked) const {
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

absl::StatusOr<JobRecord> EngineImpl::Record(const std::string& name) {
  auto found = jobs_.find(name);
  if (found != jobs_.end()) return found->second.record;
  return store_->GetJob(name);
}

std::string EngineImpl::MissingNumerics(const Job& job) const {
  const std::vector<Task>& wanted = job.run->decision().wanted;
  for (const Task& task : wanted) {
    const bool fits = std::any_of(workers_.begin(), workers_.end(), [&](const auto& entry) {
      return task.numerics.empty() || entry.second.info.numerics == task.numerics;
    });
    if (fits) return "";
  }
  return wanted.empty() || workers_.empty() ? "" : wanted.front().numerics;
}

JobProgress EngineImpl::Progress(const Job& job) const {
  JobProgress progress;
  if (job.run == nullptr) return progress;
  const PlanDecision& decision = job.run->decision();
  progress.tasks_done = decision.tasks_done;
  progress.tasks_total = decision.tasks_total;
  progress.examples_done = decision.examples_done;
  progress.examples_total = decision.examples_total;
  progress.activity = decision.activity;
  if (const std::string numerics = MissingNumerics(job); !numerics.empty()) {
    progress.activity = absl::StrCat("waits for a worker that computes as '", numerics,
                                     "': those that are connected do not");
  }
  int running = 0;
  for (const auto& [id, attempt] : attempts_) {
    if (attempt.cancelled || !job.run->Wants(attempt.task.key)) continue;
    ++running;
    progress.examples_done += std::min(attempt.examples_done, attempt.task.example_count);
  }
  progress.estimated_seconds_left =
      job.run->SecondsPerExample() *
      static_cast<double>(progress.examples_total - progress.examples_done) / std::max(1, running);
  return progress;
}

JobView EngineImpl::View(const Job& job) const { return {job.record, Progress(job)}; }

absl::StatusOr<JobView> EngineImpl::GetJob(const std::string& name) {
  {
    absl::MutexLock hold(&mutex_);
    auto found = jobs_.find(name);
    if (found != jobs_.end()) return View(found->second);
  }
  ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
  return JobView{std::move(record), {}};
}

absl::StatusOr<std::vector<JobRecord>> EngineImpl::ListJobs(const JobQuery& query) {
  return store_->ListJobs(query);
}

absl::StatusOr<JobView> EngineImpl::CancelJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  auto found = jobs_.find(name);
  if (found == jobs_.end()) {
    ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
    if (record.state != JobState::kCancelled) return JobEnded(record);
    return JobView{std::move(record), {}};
  }
  found->second.record.cancel_requested = true;
  if (!EndJob(&found->second, JobState::kCancelled, absl::OkStatus(), Json::array())) {
    return absl::UnavailableError("the store cannot write at the moment: try again");
  }
  ASSIGN_OR_RETURN(JobRecord record, store_->GetJob(name));
  return JobView{std::move(record), {}};
}

absl::Status EngineImpl::DeleteJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(const JobRecord record, Record(name));
  if (!IsEnded(record.state)) return JobNotEnded(record);
  return Delete(record);
}

absl::Status EngineImpl::Delete(const JobRecord& record) {
  // The folder first: a job whose files are gone can be deleted again, files without a job cannot.
  if (record.output_folder.empty()) {
    RETURN_IF_ERROR(Annotate(RemoveAll(ArtifactFolder(record)), "the job's artifacts"));
  }
  Reach("artifacts_removed");
  RETURN_IF_ERROR(store_->DeleteJob(record.name));
  Notify(record.name);
  return absl::OkStatus();
}

absl::StatusOr<JobView> EngineImpl::RetryJob(const std::string& name) {
  absl::MutexLock hold(&mutex_);
  ASSIGN_OR_RETURN(JobRecord record, Record(name));
  if (!IsEnded(record.state)) return JobNotEnded(record);
  if (record.state == JobState::kSucceeded) return JobEnded(record);
  RETURN_IF_ERROR(CheckRoomFor(record.client, IngredientCount(record)));
  RETURN_IF_ERROR(store_->ForgetFailures(name));
  Job job;
  job.ingredient_count = IngredientCount(record);
  job.record = record;
  job.record.error = absl::OkStatus();
  job.record.start_time = job.record.end_time = std::nullopt;
  job.record.cancel_requested = false;
  job.record.report = job.record.artifacts = "";
  job.record.deadline = std::nullopt;
  ASSIGN_OR_RETURN(const Json spec, ParseJson(record.spec));
  const absl::StatusOr<JobSpec> parsed = ParseJobSpec(spec, "spec", options_.spec_limits);
  if (parsed.ok() && parsed->timeout < absl::InfiniteDuration()) {
    job.record.deadline = clock_->Now() + parsed->timeout;
  }
  RETURN_IF_ERROR(SetState(&job, JobState::kQueued, "retried"));
  log_->Info("job_retried", {{"job", name}});
  return View(jobs_[name] = std::move(job));
}

absl::StatusOr<Engine::EventPage> EngineImpl::ReadEvents(const std::string& name, int64_t after,
                                                         int limit) {
  EventPage page;
  int64_t last = 0;
  bool ended = false;
  {
    absl::MutexLock hold(&mutex_);
    auto found = jobs_.find(name);
    if (found == jobs_.end()) {
      ended = true;
    } else {
      last = found->second.record.last_sequence;
      page.progress = Progress(found->second);
    }
  }
  if (ended) {
    ASSIGN_OR_RETURN(const JobRecord record, store_->GetJob(name));
    last = record.last_sequence;
    ended = IsEnded(record.state);
  }
  if (after < 0 || after > last) {
    return WithReason(
        absl::OutOfRangeError(absl::StrCat("after_sequence ", after, " is not in 0 … ", last,
                                           ", the sequences of ", name)),
        "SEQUENCE_OUT_OF_RANGE");
  }
  ASSIGN_OR_RETURN(page.events, store_->ReadEvents(name, after, limit));
  const int64_t read = page.events.empty() ? after : page.events.back().sequence;
  page.ended = ended && read >= last;
  return page;
}

std::unique_ptr<Engine::Subscription> EngineImpl::Subscribe(const std::string& name,
                                                            std::function<void()> changed) {
  return subscriptions_.Add(name, std::move(changed));
}

std::string EngineImpl::ArtifactFolder(const JobRecord& job) const {
  if (!job.output_folder.empty()) return job.output_folder;
  return absl::StrCat(options_.artifact_folder, "/", absl::StripPrefix(job.name, kNamePrefix));
}

}  // namespace stockpot
