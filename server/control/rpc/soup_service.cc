#include "server/control/rpc/soup_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/control/rpc/call_metadata.h"
#include "server/control/rpc/capabilities.h"
#include "server/control/rpc/download_stream.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/inspect_source.h"
#include "server/control/rpc/list_query.h"
#include "server/control/rpc/new_job_checks.h"
#include "server/control/rpc/task_call.h"
#include "server/control/rpc/verify_soup.h"
#include "server/control/rpc/watch_stream.h"
#include "server/recipe/task.h"
#include "server/storage/remote_uri.h"

namespace stockpot {
namespace {

absl::Status Respond(const absl::StatusOr<JobView>& view, v1::Job* response) {
  RETURN_IF_ERROR(view.status());
  ASSIGN_OR_RETURN(*response, ToJob(*view));
  return absl::OkStatus();
}

// Who speaks for all clients says for whom.
const std::string& ClientFor(const Identity& caller, const std::string& said) {
  return caller.client == "*" ? said : caller.client;
}

}  // namespace

SoupService::SoupService(Options options, Engine* engine, const AllowList* allowed, Clock* clock,
                         AccessFile* access)
    : options_(std::move(options)),
      engine_(engine),
      allowed_(allowed),
      clock_(clock),
      authorization_(access, clock, options_.calls_per_second),
      executor_(options_.threads) {}

SoupService::~SoupService() = default;

SoupService::Caller SoupService::CallerOf(const grpc::CallbackServerContext& context,
                                          const google::protobuf::Message& request,
                                          Permission permission) {
  ASSIGN_OR_RETURN(Identity identity,
                   authorization_.Authorize(context.client_metadata(), context.auth_context().get(),
                                            permission));
  const auto bytes = static_cast<int64_t>(request.ByteSizeLong());
  if (bytes <= options_.max_request_bytes) return identity;
  return WithReason(
      absl::ResourceExhaustedError(absl::StrCat(
          "the request has ", bytes, " bytes, and this server ", "takes at most ",
          options_.max_request_bytes, ": make it smaller, or raise --max_message_bytes")),
      "REQUEST_TOO_LARGE");
}

absl::Status SoupService::CheckOwner(const Caller& caller, const std::string& job) const {
  RETURN_IF_ERROR(caller.status());
  RETURN_IF_ERROR(CheckJobName(job));
  if (caller->sees_all_clients()) return absl::OkStatus();
  const absl::StatusOr<JobView> view = engine_->GetJob(job);
  if (view.ok() && view->record.client == caller->client) return absl::OkStatus();
  return view.ok() || absl::IsNotFound(view.status()) ? NotYourJob(job) : view.status();
}

template <typename Work>
grpc::ServerUnaryReactor* SoupService::Run(grpc::CallbackServerContext* context,
                                           const google::protobuf::Message& request,
                                           Permission permission, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  executor_.Run(
      [reactor, caller = CallerOf(*context, request, permission), work = std::move(work)] {
        reactor->Finish(ToGrpcStatus(caller.ok() ? work(*caller) : caller.status()));
      });
  return reactor;
}

template <typename Request, typename Work>
grpc::ServerUnaryReactor* SoupService::RunOnJob(grpc::CallbackServerContext* context,
                                                const Request& request, Permission permission,
                                                Work work) {
  return Run(
      context, request, permission,
      [this, job = request.name(), work = std::move(work)](const Identity& caller) -> absl::Status {
        RETURN_IF_ERROR(CheckOwner(caller, job));
        return work();
      });
}

template <typename Make>
grpc::ServerUnaryReactor* SoupService::StartTask(grpc::CallbackServerContext* context,
                                                 const google::protobuf::Message& request,
                                                 const std::shared_ptr<TaskCall>& call, Make make) {
  const Caller caller = CallerOf(*context, request, Permission::kSubmit);
  // Nobody waits for what will not be made.
  const std::string client =
      caller.ok() ? ClientFor(*caller, ClientOf(context->client_metadata())) : "";
  call->Start(
      client,
      [caller, client, make = std::move(make)]() -> absl::StatusOr<Task> {
        RETURN_IF_ERROR(caller.status());
        return make(*caller, client);
      },
      engine_, &executor_);
  return call.get();
}

void SoupService::Tick() { streams_.Tick(clock_->Now()); }

void SoupService::EndStreams() {
  ErrorFacts facts;
  facts.reason = "SERVER_STOPPING";
  facts.retry_after = absl::Seconds(5);
  streams_.EndAll(WithFacts(absl::UnavailableError("the server is stopping"), facts));
}

grpc::ServerUnaryReactor* SoupService::CreateJob(grpc::CallbackServerContext* context,
                                                 const v1::CreateJobRequest* request,
                                                 v1::Job* response) {
  const std::string& output = request->job().spec().output().output_uri();
  if (request->validate_only() && IsRemoteUri(output)) {
    return ValidateWithOutput(context, *request, response);
  }
  const std::string said = ClientOf(context->client_metadata());
  const std::string trace_id = TraceOf(context->client_metadata()).trace_id;
  return Run(context, *request, Permission::kSubmit,
             [=, this](const Identity& caller) -> absl::Status {
               const std::string& client = ClientFor(caller, said);
               ASSIGN_OR_RETURN(CheckedJob checked,
                                ToNewJob(*request, client, options_.spec_limits, *allowed_));
               checked.job.trace_id = trace_id;
               if (request->validate_only()) return Validate(*request, checked, response);
               return Respond(engine_->CreateJob(checked.job), response);
             });
}

grpc::ServerUnaryReactor* SoupService::ValidateWithOutput(grpc::CallbackServerContext* context,
                                                          const v1::CreateJobRequest& request,
                                                          v1::Job* response) {
  const auto call = std::make_shared<TaskCall>([](const Fact&) { return absl::OkStatus(); },
                                               "job.spec.output.output_uri");
  return StartTask(context, request, call,
                   [=, this](const Identity&, const std::string& client) -> absl::StatusOr<Task> {
                     ASSIGN_OR_RETURN(const CheckedJob checked,
                                      ToNewJob(request, client, options_.spec_limits, *allowed_));
                     RETURN_IF_ERROR(Validate(request, checked, response));
                     return PublishArtifactsTask("", "", checked.job.output_folder, {});
                   });
}

absl::Status SoupService::Validate(const v1::CreateJobRequest& request, const CheckedJob& checked,
                                   v1::Job* response) {
  RETURN_IF_ERROR(CheckSourcesExist(checked.spec, *allowed_));
  RETURN_IF_ERROR(engine_->CheckNewJob(checked.job));
  *response->mutable_spec() = request.job().spec();
  response->set_display_name(request.job().display_name());
  *response->mutable_labels() = request.job().labels();
  response->set_priority(request.job().priority());
  response->set_client(checked.job.client);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* SoupService::GetJob(grpc::CallbackServerContext* context,
                                              const v1::GetJobRequest* request, v1::Job* response) {
  return RunOnJob(context, *request, Permission::kRead, [=, this]() -> absl::Status {
    return Respond(engine_->GetJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::ListJobs(grpc::CallbackServerContext* context,
                                                const v1::ListJobsRequest* request,
                                                v1::ListJobsResponse* response) {
  return Run(
      context, *request, Permission::kRead, [=, this](const Identity& caller) -> absl::Status {
        ASSIGN_OR_RETURN(JobQuery query, ToJobQuery(*request));
        if (!caller.sees_all_clients()) query.client = caller.client;
        const auto page_size = static_cast<size_t>(query.limit++);  // one more tells of a next page
        ASSIGN_OR_RETURN(std::vector<JobRecord> records, engine_->ListJobs(query));
        if (records.size() > page_size) {
          records.resize(page_size);
          response->set_next_page_token(MakePageToken(*request, records.back()));
        }
        for (JobRecord& record : records) {
          record.report.clear();
          ASSIGN_OR_RETURN(*response->add_jobs(), ToJob(record));
        }
        return absl::OkStatus();
      });
}

grpc::ServerUnaryReactor* SoupService::CancelJob(grpc::CallbackServerContext* context,
                                                 const v1::CancelJobRequest* request,
                                                 v1::Job* response) {
  return RunOnJob(context, *request, Permission::kSubmit, [=, this]() -> absl::Status {
    return Respond(engine_->CancelJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::DeleteJob(grpc::CallbackServerContext* context,
                                                 const v1::DeleteJobRequest* request,
                                                 google::protobuf::Empty*) {
  return RunOnJob(context, *request, Permission::kSubmit,
                  [=, this]() -> absl::Status { return engine_->DeleteJob(request->name()); });
}

grpc::ServerUnaryReactor* SoupService::RetryJob(grpc::CallbackServerContext* context,
                                                const v1::RetryJobRequest* request,
                                                v1::Job* response) {
  return RunOnJob(context, *request, Permission::kSubmit, [=, this]() -> absl::Status {
    return Respond(engine_->RetryJob(request->name()), response);
  });
}

grpc::ServerWriteReactor<v1::JobEvent>* SoupService::WatchJob(grpc::CallbackServerContext* context,
                                                              const v1::WatchJobRequest* request) {
  auto stream = std::make_shared<WatchStream>(
      *request,
      [this, caller = CallerOf(*context, *request, Permission::kRead), job = request->name()] {
        return CheckOwner(caller, job);
      },
      engine_, clock_, &executor_, &streams_);
  stream->Start();
  return stream.get();
}

grpc::ServerWriteReactor<v1::ArtifactChunk>* SoupService::DownloadArtifact(
    grpc::CallbackServerContext* context, const v1::DownloadArtifactRequest* request) {
  auto stream = std::make_shared<DownloadStream>(
      *request,
      [this, caller = CallerOf(*context, *request, Permission::kRead), job = request->name()] {
        return CheckOwner(caller, job);
      },
      engine_, &executor_, &streams_);
  stream->Start();
  return stream.get();
}

grpc::ServerUnaryReactor* SoupService::InspectSource(grpc::CallbackServerContext* context,
                                                     const v1::InspectSourceRequest* request,
                                                     v1::InspectSourceResponse* response) {
  const auto call = std::make_shared<TaskCall>(
      [response](const Fact& fact) { return ReadInspection(fact, response); });
  return StartTask(context, *request, call,
                   [this, copy = *request](const Identity&, const std::string&) {
                     return InspectTask(copy, *allowed_);
                   });
}

grpc::ServerUnaryReactor* SoupService::VerifySoup(grpc::CallbackServerContext* context,
                                                  const v1::VerifySoupRequest* request,
                                                  v1::VerifySoupResponse* response) {
  auto expected = std::make_shared<SoupVerification>();
  const auto call = std::make_shared<TaskCall>(
      [expected, response](const Fact& fact) { return CompareSoup(*expected, fact, response); });
  return StartTask(context, *request, call,
                   [this, expected, copy = *request](const Identity& caller,
                                                     const std::string&) -> absl::StatusOr<Task> {
                     if (!copy.name().empty()) RETURN_IF_ERROR(CheckOwner(caller, copy.name()));
                     ASSIGN_OR_RETURN(*expected, FindSoup(copy, engine_, *allowed_));
                     return expected->task;
                   });
}

grpc::ServerUnaryReactor* SoupService::GetCapabilities(grpc::CallbackServerContext* context,
                                                       const v1::GetCapabilitiesRequest* request,
                                                       v1::Capabilities* response) {
  return Run(context, *request, Permission::kRead, [=, this](const Identity&) -> absl::Status {
    *response = MakeCapabilities(options_.version, engine_->Workers());
    v1::Capabilities::Limits& limits = *response->mutable_limits();
    limits.set_max_ingredients(options_.spec_limits.max_ingredients);
    limits.set_max_report_sets(options_.spec_limits.max_report_sets);
    limits.set_max_request_bytes(options_.max_request_bytes);
    const EngineLimits& engine = options_.limits;
    limits.set_max_unfinished_jobs(engine.max_unfinished_jobs);
    limits.set_max_unfinished_jobs_of_client(engine.max_unfinished_jobs_of_client);
    limits.set_max_unfinished_ingredients(engine.max_unfinished_ingredients);
    limits.set_max_unfinished_ingredients_of_client(engine.max_unfinished_ingredients_of_client);
    limits.set_max_artifact_bytes(engine.max_artifact_bytes);
    limits.set_max_artifact_bytes_of_client(engine.max_artifact_bytes_of_client);
    limits.set_max_waiting_inspections(engine.max_waiting_inspections);
    limits.set_max_waiting_inspections_of_client(engine.max_waiting_inspections_of_client);
    return absl::OkStatus();
  });
}

}  // namespace stockpot
