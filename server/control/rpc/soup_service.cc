#include "server/control/rpc/soup_service.h"

#include <memory>
#include <utility>
#include <vector>

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

namespace stockpot {
namespace {

absl::Status Respond(const absl::StatusOr<JobView>& view, v1::Job* response) {
  RETURN_IF_ERROR(view.status());
  ASSIGN_OR_RETURN(*response, ToJob(*view));
  return absl::OkStatus();
}

}  // namespace

SoupService::SoupService(Options options, Engine* engine, const AllowList* allowed, Clock* clock)
    : options_(std::move(options)),
      engine_(engine),
      allowed_(allowed),
      clock_(clock),
      executor_(options_.threads) {}

SoupService::~SoupService() = default;

template <typename Work>
grpc::ServerUnaryReactor* SoupService::Run(grpc::CallbackServerContext* context, Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  executor_.Run([reactor, work = std::move(work)] { reactor->Finish(ToGrpcStatus(work())); });
  return reactor;
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
  const std::string client = ClientOf(context->client_metadata());
  return Run(context, [=, this]() -> absl::Status {
    ASSIGN_OR_RETURN(const CheckedJob checked,
                     ToNewJob(*request, client, options_.spec_limits, *allowed_));
    if (request->validate_only()) return Validate(*request, checked, response);
    return Respond(engine_->CreateJob(checked.job), response);
  });
}

absl::Status SoupService::Validate(const v1::CreateJobRequest& request, const CheckedJob& checked,
                                   v1::Job* response) {
  RETURN_IF_ERROR(CheckSourcesExist(checked.spec, *allowed_));
  RETURN_IF_ERROR(
      engine_->CheckRoomForJob(checked.job, static_cast<int64_t>(checked.spec.ingredients.size())));
  *response->mutable_spec() = request.job().spec();
  response->set_display_name(request.job().display_name());
  *response->mutable_labels() = request.job().labels();
  response->set_priority(request.job().priority());
  response->set_client(checked.job.client);
  return absl::OkStatus();
}

grpc::ServerUnaryReactor* SoupService::GetJob(grpc::CallbackServerContext* context,
                                              const v1::GetJobRequest* request, v1::Job* response) {
  return Run(context, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return Respond(engine_->GetJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::ListJobs(grpc::CallbackServerContext* context,
                                                const v1::ListJobsRequest* request,
                                                v1::ListJobsResponse* response) {
  return Run(context, [=, this]() -> absl::Status {
    ASSIGN_OR_RETURN(JobQuery query, ToJobQuery(*request));
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
  return Run(context, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return Respond(engine_->CancelJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::DeleteJob(grpc::CallbackServerContext* context,
                                                 const v1::DeleteJobRequest* request,
                                                 google::protobuf::Empty*) {
  return Run(context, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return engine_->DeleteJob(request->name());
  });
}

grpc::ServerUnaryReactor* SoupService::RetryJob(grpc::CallbackServerContext* context,
                                                const v1::RetryJobRequest* request,
                                                v1::Job* response) {
  return Run(context, [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return Respond(engine_->RetryJob(request->name()), response);
  });
}

grpc::ServerWriteReactor<v1::JobEvent>* SoupService::WatchJob(grpc::CallbackServerContext*,
                                                              const v1::WatchJobRequest* request) {
  auto stream = std::make_shared<WatchStream>(*request, engine_, clock_, &executor_, &streams_);
  stream->Start();
  return stream.get();
}

grpc::ServerWriteReactor<v1::ArtifactChunk>* SoupService::DownloadArtifact(
    grpc::CallbackServerContext*, const v1::DownloadArtifactRequest* request) {
  auto stream = std::make_shared<DownloadStream>(*request, engine_, &executor_, &streams_);
  stream->Start();
  return stream.get();
}

grpc::ServerUnaryReactor* SoupService::InspectSource(grpc::CallbackServerContext*,
                                                     const v1::InspectSourceRequest* request,
                                                     v1::InspectSourceResponse* response) {
  auto call = std::make_shared<TaskCall>(
      [response](const Fact& fact) { return ReadInspection(fact, response); });
  call->Start([this, copy = *request] { return InspectTask(copy, *allowed_); }, engine_,
              &executor_);
  return call.get();
}

grpc::ServerUnaryReactor* SoupService::VerifySoup(grpc::CallbackServerContext*,
                                                  const v1::VerifySoupRequest* request,
                                                  v1::VerifySoupResponse* response) {
  auto expected = std::make_shared<SoupVerification>();
  auto call = std::make_shared<TaskCall>(
      [expected, response](const Fact& fact) { return CompareSoup(*expected, fact, response); });
  call->Start(
      [this, expected, copy = *request]() -> absl::StatusOr<Task> {
        ASSIGN_OR_RETURN(*expected, FindSoup(copy, engine_, *allowed_));
        return expected->task;
      },
      engine_, &executor_);
  return call.get();
}

grpc::ServerUnaryReactor* SoupService::GetCapabilities(grpc::CallbackServerContext* context,
                                                       const v1::GetCapabilitiesRequest*,
                                                       v1::Capabilities* response) {
  return Run(context, [=, this]() -> absl::Status {
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
    return absl::OkStatus();
  });
}

}  // namespace stockpot
