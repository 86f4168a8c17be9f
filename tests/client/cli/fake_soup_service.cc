#include "tests/client/cli/fake_soup_service.h"

#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server_builder.h>

#include <algorithm>
#include <sstream>

#include "client/cli/part_file.h"
#include "client/cli/run.h"

namespace stockpot::cli {

void FakeSoupService::AddFile(const std::string& name, const std::string& content) {
  files[name] = content;
  Sha256 sum;
  sum.Update(content);
  v1::ArtifactFile* file = job.add_artifacts();
  file->set_file(name);
  file->set_size_bytes(static_cast<int64_t>(content.size()));
  file->set_sha256(sum.Finish());
}

std::vector<v1::CreateJobRequest> FakeSoupService::created() const {
  absl::MutexLock lock(&mutex_);
  return created_;
}

std::vector<int64_t> FakeSoupService::watched_after() const {
  absl::MutexLock lock(&mutex_);
  return watched_after_;
}

std::vector<int64_t> FakeSoupService::download_offsets() const {
  absl::MutexLock lock(&mutex_);
  return download_offsets_;
}

std::vector<v1::ListJobsRequest> FakeSoupService::listed() const {
  absl::MutexLock lock(&mutex_);
  return listed_;
}

std::vector<v1::VerifySoupRequest> FakeSoupService::verified() const {
  absl::MutexLock lock(&mutex_);
  return verified_;
}

std::vector<std::string> FakeSoupService::clients() const {
  absl::MutexLock lock(&mutex_);
  return clients_;
}

std::vector<std::string> FakeSoupService::traces() const {
  absl::MutexLock lock(&mutex_);
  return traces_;
}

std::vector<std::string> FakeSoupService::authorizations() const {
  absl::MutexLock lock(&mutex_);
  return authorizations_;
}

void FakeSoupService::NoteClient(const grpc::ServerContext& context) {
  const auto value = [&](const char* name) {
    const auto found = context.client_metadata().find(name);
    return found == context.client_metadata().end()
               ? ""
               : std::string(found->second.data(), found->second.size());
  };
  absl::MutexLock lock(&mutex_);
  clients_.push_back(value("stockpot-client"));
  authorizations_.push_back(value("authorization"));
  traces_.push_back(value("traceparent"));
}

grpc::Status FakeSoupService::VerifySoup(grpc::ServerContext* context,
                                         const v1::VerifySoupRequest* request,
                                         v1::VerifySoupResponse* response) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  verified_.push_back(*request);
  *response = verification;
  return grpc::Status::OK;
}

grpc::Status FakeSoupService::CreateJob(grpc::ServerContext* context,
                                        const v1::CreateJobRequest* request, v1::Job* response) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  created_.push_back(*request);
  *response = job;
  *response->mutable_spec() = request->job().spec();
  return create_status;
}

grpc::Status FakeSoupService::GetJob(grpc::ServerContext* context, const v1::GetJobRequest* request,
                                     v1::Job* response) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  if (request->name() != job.name()) return {grpc::StatusCode::NOT_FOUND, "no such job"};
  *response = job;
  return grpc::Status::OK;
}

grpc::Status FakeSoupService::ListJobs(grpc::ServerContext* context,
                                       const v1::ListJobsRequest* request,
                                       v1::ListJobsResponse* response) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  listed_.push_back(*request);
  // Two pages of one job each.
  *response->add_jobs() = job;
  if (request->page_token().empty()) response->set_next_page_token("second");
  return grpc::Status::OK;
}

grpc::Status FakeSoupService::WatchJob(grpc::ServerContext* context,
                                       const v1::WatchJobRequest* request,
                                       grpc::ServerWriter<v1::JobEvent>* writer) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  watched_after_.push_back(request->after_sequence());
  if (streams.empty()) return {grpc::StatusCode::UNAVAILABLE, "gone"};
  const Stream stream = streams.front();
  streams.pop_front();
  for (const v1::JobEvent& event : stream.events) writer->Write(event);
  stream.before_end();
  return stream.end;
}

grpc::Status FakeSoupService::DownloadArtifact(grpc::ServerContext* context,
                                               const v1::DownloadArtifactRequest* request,
                                               grpc::ServerWriter<v1::ArtifactChunk>* writer) {
  NoteClient(*context);
  absl::MutexLock lock(&mutex_);
  download_offsets_.push_back(request->offset());
  const std::string& content = files[request->file()];
  size_t offset = static_cast<size_t>(request->offset());
  while (offset < content.size()) {
    v1::ArtifactChunk chunk;
    chunk.set_offset(static_cast<int64_t>(offset));
    chunk.set_data(content.substr(offset, chunk_bytes));
    chunk.set_crc32c(Crc32c(chunk.data()));
    offset += chunk.data().size();
    if (damaged_streams > 0) {
      --damaged_streams;
      (*chunk.mutable_data())[0] ^= 1;
      writer->Write(chunk);
      return grpc::Status::OK;
    }
    writer->Write(chunk);
    if (break_after >= 0 && static_cast<int64_t>(offset) >= break_after) {
      break_after = -1;
      return {grpc::StatusCode::UNAVAILABLE, "lost"};
    }
  }
  return grpc::Status::OK;
}

ClientHarness::ClientHarness() {
  service.job.set_name("jobs/x");
  service.job.set_state(v1::Job::SUCCEEDED);
}

ClientHarness::~ClientHarness() {
  if (server_ != nullptr) server_->Shutdown();
}

ClientHarness::Outcome ClientHarness::Run(const std::vector<std::string>& arguments) {
  if (server_ == nullptr) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(&service);
    server_ = builder.BuildAndStart();
  }
  std::ostringstream out, error;
  Environment environment(out, error, interruption);
  if (!without_address) environment.target.server = address;
  environment.target.client = client;
  environment.context = context;
  environment.context_file = folder / "config/contexts.yaml";
  environment.traceparent = traceparent;
  environment.terminal = terminal;
  environment.now = [this] { return now_; };
  environment.wait = [this](absl::Duration duration) {
    waits.push_back(duration);
    now_ += duration;
    return !interruption.triggered();
  };
  environment.become_sibling = [this](const std::vector<std::string>& arguments_given) {
    became = arguments_given;
    return 0;
  };
  environment.become_python = [this](const std::vector<std::string>& arguments_given,
                                     const std::string& input) {
    became = arguments_given;
    python_input = input;
    return 0;
  };
  service.Synchronize();
  const int code = cli::Run(arguments, environment);
  service.Synchronize();
  return {code, out.str(), error.str()};
}

}  // namespace stockpot::cli
