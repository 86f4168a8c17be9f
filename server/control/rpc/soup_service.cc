#include "server/control/rpc/soup_service.h"

#include <memory>
#include <utility>
#include <vector>

#include "server/base/status.h"
#include "server/control/rpc/capabilities.h"
#include "server/control/rpc/download_stream.h"
#include "server/control/rpc/error_translation.h"
#include "server/control/rpc/inspect_call.h"
#include "server/control/rpc/job_translation.h"
#include "server/control/rpc/list_query.h"
#include "server/control/rpc/watch_stream.h"

namespace stockpot {
namespace {

absl::Status Respond(const absl::StatusOr<JobView>& view, v1::Job* response) {
  RETURN_IF_ERROR(view.status());
  ASSIGN_OR_RETURN(*response, ToJob(*view));
  return absl::OkStatus();
}

// A job as it would be, for validate_only.
absl::Status RespondUnstored(const v1::CreateJobRequest& request, v1::Job* response) {
  *response->mutable_spec() = request.job().spec();
  response->set_display_name(request.job().display_name());
  *response->mutable_labels() = request.job().labels();
  response->set_priority(request.job().priority());
  return absl::OkStatus();
}

}  // namespace

SoupService::SoupService(Options options, Engine* engine, const AllowList* allowed, Clock* clock,
                         Log* log)
    : options_(std::move(options)),
      engine_(engine),
      allowed_(allowed),
      clock_(clock),
      log_(log),
      executor_(options_.threads) {}

SoupService::~SoupService() = default;

template <typename Work>
grpc::ServerUnaryReactor* SoupService::Run(grpc::CallbackServerContext* context, const char* method,
                                           Work work) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  executor_.Run([this, method, reactor, work = std::move(work)] {
    const absl::Status status = work();
    if (absl::IsInternal(status)) {
      log_->Error("call_failed", {{"method", method}, {"error", status.ToString()}});
    }
    reactor->Finish(ToGrpcStatus(status));
  });
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
  return Run(context, "CreateJob", [=, this]() -> absl::Status {
    ASSIGN_OR_RETURN(const NewJob job, ToNewJob(*request, options_.spec_limits, *allowed_));
    if (request->validate_only()) return RespondUnstored(*request, response);
    return Respond(engine_->CreateJob(job), response);
  });
}

grpc::ServerUnaryReactor* SoupService::GetJob(grpc::CallbackServerContext* context,
                                              const v1::GetJobRequest* request, v1::Job* response) {
  return Run(context, "GetJob", [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return Respond(engine_->GetJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::ListJobs(grpc::CallbackServerContext* context,
                                                const v1::ListJobsRequest* request,
                                                v1::ListJobsResponse* response) {
  return Run(context, "ListJobs", [=, this]() -> absl::Status {
    ASSIGN_OR_RETURN(JobQuery query, ToJobQuery(*request));
    const auto page_size = static_cast<size_t>(query.limit++);  // one more tells of a next page
    ASSIGN_OR_RETURN(std::vector<JobRecord> records, engine_->ListJobs(query));
    if (records.size() > page_size) {
      records.resize(page_size);
      response->set_next_page_token(MakePageToken(request->filter(), records.back()));
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
  return Run(context, "CancelJob", [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return Respond(engine_->CancelJob(request->name()), response);
  });
}

grpc::ServerUnaryReactor* SoupService::DeleteJob(grpc::CallbackServerContext* context,
                                                 const v1::DeleteJobRequest* request,
                                                 google::protobuf::Empty*) {
  return Run(context, "DeleteJob", [=, this]() -> absl::Status {
    RETURN_IF_ERROR(CheckJobName(request->name()));
    return engine_->DeleteJob(request->name());
  });
}

grpc::ServerUnaryReactor* SoupService::RetryJob(grpc::CallbackServerContext* context,
                                                const v1::RetryJobRequest* request,
                                                v1::Job* response) {
  return Run(context, "RetryJob", [=, this]() -> absl::Status {
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
  auto call = std::make_shared<InspectCall>(response);
  call->Start(*request, engine_, *allowed_, &executor_);
  return call.get();
}

grpc::ServerUnaryReactor* SoupService::GetCapabilities(grpc::CallbackServerContext* context,
                                                       const v1::GetCapabilitiesRequest*,
                                                       v1::Capabilities* response) {
  return Run(context, "GetCapabilities", [=, this]() -> absl::Status {
    *response = MakeCapabilities(options_.version, engine_->Workers());
    v1::Capabilities::Limits& limits = *response->mutable_limits();
    limits.set_max_ingredients(options_.spec_limits.max_ingredients);
    limits.set_max_report_sets(options_.spec_limits.max_report_sets);
    limits.set_max_unfinished_jobs(options_.limits.max_unfinished_jobs);
    limits.set_max_request_bytes(options_.max_request_bytes);
    return absl::OkStatus();
  });
}

}  // namespace stockpot
