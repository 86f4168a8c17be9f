// control/rpc: the public API and the worker protocol on gRPC, and the translation between
// Protocol Buffers and the engine's plain structs. No business rule is here: a method translates,
// calls the engine, translates back.
//
// This header: stockpot.v1.SoupService (proto/stockpot/v1/soup_service.proto says what each method
// promises and which errors it gives). Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_SOUP_SERVICE_H_
#define STOCKPOT_SERVER_CONTROL_RPC_SOUP_SERVICE_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/base/clock.h"
#include "server/control/access/access_file.h"
#include "server/control/job/engine.h"
#include "server/control/rpc/authorization.h"
#include "server/control/rpc/executor.h"
#include "server/control/rpc/job_translation.h"
#include "server/control/rpc/stream_registry.h"
#include "server/control/rpc/task_call.h"
#include "server/storage/local_path.h"
#include "stockpot/v1/soup_service.grpc.pb.h"

namespace stockpot {

class SoupService final : public v1::SoupService::CallbackService {
 public:
  struct Options {
    std::string version;     // "0.1.0"
    SpecLimits spec_limits;  // as the engine's
    EngineLimits limits;
    int64_t max_request_bytes = 4 << 20;
    int threads = 4;              // that may wait for the store or a disk at once
    double calls_per_second = 0;  // of each client; 0: no limit
  };

  // All must outlive the service; the service must outlive the gRPC server. Without `access`
  // everybody may do everything.
  SoupService(Options options, Engine* engine, const AllowList* allowed, Clock* clock,
              AccessFile* access = nullptr);
  ~SoupService() override;

  // Lets watchers have progress and bookmarks; call it about twice a second.
  void Tick();

  // Ends every stream, those of later calls too, UNAVAILABLE SERVER_STOPPING with RetryInfo.
  void EndStreams();
  Authorization& authorization() { return authorization_; }
  // Watches and downloads in progress.
  size_t stream_count() const { return streams_.size(); }

  grpc::ServerUnaryReactor* CreateJob(grpc::CallbackServerContext* context,
                                      const v1::CreateJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* GetJob(grpc::CallbackServerContext* context,
                                   const v1::GetJobRequest* request, v1::Job* response) override;
  grpc::ServerUnaryReactor* ListJobs(grpc::CallbackServerContext* context,
                                     const v1::ListJobsRequest* request,
                                     v1::ListJobsResponse* response) override;
  grpc::ServerUnaryReactor* CancelJob(grpc::CallbackServerContext* context,
                                      const v1::CancelJobRequest* request,
                                      v1::Job* response) override;
  grpc::ServerUnaryReactor* DeleteJob(grpc::CallbackServerContext* context,
                                      const v1::DeleteJobRequest* request,
                                      google::protobuf::Empty* response) override;
  grpc::ServerUnaryReactor* RetryJob(grpc::CallbackServerContext* context,
                                     const v1::RetryJobRequest* request,
                                     v1::Job* response) override;
  grpc::ServerWriteReactor<v1::JobEvent>* WatchJob(grpc::CallbackServerContext* context,
                                                   const v1::WatchJobRequest* request) override;
  grpc::ServerWriteReactor<v1::ArtifactChunk>* DownloadArtifact(
      grpc::CallbackServerContext* context, const v1::DownloadArtifactRequest* request) override;
  grpc::ServerUnaryReactor* InspectSource(grpc::CallbackServerContext* context,
                                          const v1::InspectSourceRequest* request,
                                          v1::InspectSourceResponse* response) override;
  grpc::ServerUnaryReactor* VerifySoup(grpc::CallbackServerContext* context,
                                       const v1::VerifySoupRequest* request,
                                       v1::VerifySoupResponse* response) override;
  grpc::ServerUnaryReactor* GetCapabilities(grpc::CallbackServerContext* context,
                                            const v1::GetCapabilitiesRequest* request,
                                            v1::Capabilities* response) override;

 private:
  using Caller = absl::StatusOr<Identity>;
  // Who calls, or why it may not. Only while the call's method runs: the context is gone later.
  // A request above the limit may not either.
  Caller CallerOf(const grpc::CallbackServerContext& context,
                  const google::protobuf::Message& request, Permission permission);
  // Whether a caller may see a job; of others' jobs and of none it is told the same.
  absl::Status CheckOwner(const Caller& caller, const std::string& job) const;
  // Runs `work` (absl::Status(const Identity&)) on an executor thread for a caller with the
  // permission, and finishes the call with its status.
  template <typename Work>
  grpc::ServerUnaryReactor* Run(grpc::CallbackServerContext* context,
                                const google::protobuf::Message& request, Permission permission,
                                Work work);
  // The same for what is about one job, with the job's name checked and the caller's to see:
  // `work` (absl::Status()).
  template <typename Request, typename Work>
  grpc::ServerUnaryReactor* RunOnJob(grpc::CallbackServerContext* context, const Request& request,
                                     Permission permission, Work work);
  // Starts `call` for a caller that may submit, with the task of `make` (absl::StatusOr<Task>(const
  // Identity&, const std::string& client), run on an executor thread).
  template <typename Make>
  grpc::ServerUnaryReactor* StartTask(grpc::CallbackServerContext* context,
                                      const google::protobuf::Message& request,
                                      const std::shared_ptr<TaskCall>& call, Make make);
  // A job as it would be, for validate_only, or why it would fail at once.
  absl::Status Validate(const v1::CreateJobRequest& request, const CheckedJob& checked,
                        v1::Job* response);
  // The same where artifacts go to an object store: a worker looks whether they may be written.
  grpc::ServerUnaryReactor* ValidateWithOutput(grpc::CallbackServerContext* context,
                                               const v1::CreateJobRequest& request,
                                               v1::Job* response);

  const Options options_;
  Engine* const engine_;
  const AllowList* const allowed_;
  Clock* const clock_;
  Authorization authorization_;
  StreamRegistry streams_;
  Executor executor_;  // last: what it runs uses the others
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_SOUP_SERVICE_H_
