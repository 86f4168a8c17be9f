// A Stockpot server in this process that plays a script, and a client to run against it.
// Thread safety: what is scripted is set between calls, with Synchronize() before and after each;
// the logs are thread-safe.
#ifndef STOCKPOT_TESTS_CLIENT_CLI_FAKE_SOUP_SERVICE_H_
#define STOCKPOT_TESTS_CLIENT_CLI_FAKE_SOUP_SERVICE_H_

#include <grpcpp/server.h>

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/cli/interruption.h"
#include "stockpot/v1/soup_service.grpc.pb.h"
#include "tests/support/temporary_folder.h"

namespace stockpot::cli {

class FakeSoupService final : public v1::SoupService::Service {
 public:
  // One call of WatchJob: what it sends and how it ends.
  struct Stream {
    std::vector<v1::JobEvent> events;
    grpc::Status end;
    std::function<void()> before_end = [] {};
  };

  v1::Job job;                               // what CreateJob and GetJob give
  grpc::Status create_status;                // of CreateJob
  std::deque<Stream> streams;                // one for each WatchJob, then UNAVAILABLE
  std::map<std::string, std::string> files;  // content by artifact
  int damaged_streams = 0;                   // so many begin and end with a flipped bit
  int64_t break_after = -1;                  // the first download is lost after so many bytes
  size_t chunk_bytes = 4;
  v1::VerifySoupResponse verification;

  // Orders the script against the calls, which all hold the mutex: that a call's end comes before
  // what follows it is known to gRPC alone.
  void Synchronize() const { absl::MutexLock lock(&mutex_); }

  // Gives `job` the artifact `name`, to be downloaded with this content.
  void AddFile(const std::string& name, const std::string& content);

  std::vector<v1::CreateJobRequest> created() const;
  std::vector<int64_t> watched_after() const;
  std::vector<int64_t> download_offsets() const;
  std::vector<v1::ListJobsRequest> listed() const;
  std::vector<v1::VerifySoupRequest> verified() const;
  // The stockpot-client metadata of every call, "" where there was none.
  std::vector<std::string> clients() const;
  // The same of authorization.
  std::vector<std::string> authorizations() const;
  // The traceparent of every call, alike.
  std::vector<std::string> traces() const;

  grpc::Status CreateJob(grpc::ServerContext* context, const v1::CreateJobRequest* request,
                         v1::Job* response) override;
  grpc::Status GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                      v1::Job* response) override;
  grpc::Status ListJobs(grpc::ServerContext* context, const v1::ListJobsRequest* request,
                        v1::ListJobsResponse* response) override;
  grpc::Status VerifySoup(grpc::ServerContext* context, const v1::VerifySoupRequest* request,
                          v1::VerifySoupResponse* response) override;
  grpc::Status WatchJob(grpc::ServerContext* context, const v1::WatchJobRequest* request,
                        grpc::ServerWriter<v1::JobEvent>* writer) override;
  grpc::Status DownloadArtifact(grpc::ServerContext* context,
                                const v1::DownloadArtifactRequest* request,
                                grpc::ServerWriter<v1::ArtifactChunk>* writer) override;

 private:
  void NoteClient(const grpc::ServerContext& context);

  mutable absl::Mutex mutex_;
  std::vector<std::string> clients_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> authorizations_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> traces_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::VerifySoupRequest> verified_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::CreateJobRequest> created_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> watched_after_ ABSL_GUARDED_BY(mutex_);
  std::vector<int64_t> download_offsets_ ABSL_GUARDED_BY(mutex_);
  std::vector<v1::ListJobsRequest> listed_ ABSL_GUARDED_BY(mutex_);
};

// Runs command lines against a FakeSoupService. Time stands still but for waits, which pass at
// once.
class ClientHarness {
 public:
  struct Outcome {
    int code = 0;
    std::string out;
    std::string error;
  };

  ClientHarness();
  ~ClientHarness();
  // Starts the server with the first call.
  Outcome Run(const std::vector<std::string>& arguments);

  FakeSoupService service;
  Interruption interruption;
  std::vector<absl::Duration> waits;
  std::vector<std::string> became;  // the sibling program or the Python package's, if any
  std::string python_input;
  bool terminal = false;
  std::string client;            // STOCKPOT_CLIENT
  std::string context;           // STOCKPOT_CONTEXT
  bool without_address = false;  // no STOCKPOT_SERVER
  std::string traceparent;       // TRACEPARENT
  TemporaryFolder folder;
  const std::string address = "unix:" + (folder / "server.sock");

 private:
  std::unique_ptr<grpc::Server> server_;
  absl::Time now_ = absl::UnixEpoch();
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_TESTS_CLIENT_CLI_FAKE_SOUP_SERVICE_H_
