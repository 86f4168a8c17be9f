#include "tests/e2e/patient_client.h"

#include <gtest/gtest.h>

#include <set>

#include "server/base/digest.h"
#include "tests/support/server_process/server_log.h"

namespace stockpot {
namespace {

// Of its files; those beside it tell of times.
std::map<std::string, std::string> SumsOfSoup(const v1::Job& job) {
  std::map<std::string, std::string> sums;
  for (const v1::ArtifactFile& artifact : job.artifacts()) {
    if (artifact.file().rfind("soup", 0) == 0) sums[artifact.file()] = artifact.sha256();
  }
  EXPECT_FALSE(sums.empty());
  return sums;
}

}  // namespace

bool PatientClient::CreateOrFind(ServerProcess& server) {
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec_;
  request.set_request_id("the one job");
  request.set_job_id("the-one-job");  // its files name it
  v1::Job job;
  const grpc::Status status = server.stub().CreateJob(&context, request, &job);
  if (!status.ok()) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::UNAVAILABLE) << status.error_message();
    return false;
  }
  if (name_.empty()) name_ = job.name();
  EXPECT_EQ(job.name(), name_) << "an accepted job was lost";
  return true;
}

PatientClient::Watched PatientClient::Watch(ServerProcess& server, std::chrono::milliseconds time,
                                            const std::function<bool(const v1::JobEvent&)>& stop) {
  grpc::ClientContext context;
  context.set_deadline(std::chrono::system_clock::now() + time);
  v1::WatchJobRequest request;
  request.set_name(name_);
  request.set_after_sequence(events_.empty() ? 0 : events_.back().sequence());
  auto reader = server.stub().WatchJob(&context, request);
  v1::JobEvent event;
  while (reader->Read(&event)) {
    if (event.sequence() == 0) continue;
    events_.push_back(event);
    if (stop == nullptr || !stop(event)) continue;
    context.TryCancel();
    return Watched::kTimeOver;
  }
  const grpc::Status status = reader->Finish();
  if (status.ok()) return Watched::kEnded;
  return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED ? Watched::kTimeOver
                                                                    : Watched::kBroken;
}

v1::Job PatientClient::Get(ServerProcess& server) {
  grpc::ClientContext context;
  v1::GetJobRequest request;
  request.set_name(name_);
  v1::Job job;
  const grpc::Status status = server.stub().GetJob(&context, request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job;
}

void PatientClient::ExpectEveryEventOnceAndNothingMeasuredTwice() const {
  std::set<std::pair<std::string, std::vector<std::string>>> measured;
  for (size_t i = 0; i < events_.size(); ++i) {
    EXPECT_EQ(events_[i].sequence(), static_cast<int64_t>(i + 1));
    if (!events_[i].has_blend_measured()) continue;
    const auto& names = events_[i].blend_measured().ingredients();
    EXPECT_TRUE(
        measured.insert({events_[i].blend_measured().data_set(), {names.begin(), names.end()}})
            .second);
    EXPECT_FALSE(events_[i].blend_measured().reused()) << "its own work, not another job's";
  }
  EXPECT_FALSE(measured.empty());
}

std::map<std::string, std::string> PatientClient::Download(ServerProcess& server) {
  std::map<std::string, std::string> files;
  const v1::Job job = Get(server);
  for (const v1::ArtifactFile& artifact : job.artifacts()) {
    grpc::ClientContext context;
    v1::DownloadArtifactRequest request;
    request.set_name(name_);
    request.set_file(artifact.file());
    auto reader = server.stub().DownloadArtifact(&context, request);
    std::string& content = files[artifact.file()];
    v1::ArtifactChunk chunk;
    while (reader->Read(&chunk)) content += chunk.data();
    const grpc::Status status = reader->Finish();
    EXPECT_TRUE(status.ok()) << artifact.file() << ": " << status.error_message();
    EXPECT_EQ(static_cast<int64_t>(content.size()), artifact.size_bytes()) << artifact.file();
    EXPECT_EQ(Sha256Hex(content), artifact.sha256()) << artifact.file();
  }
  return files;
}

void ExpectNoTaskGivenAgain(const std::string& log_file) {
  const std::vector<LogLine> log = ReadServerLog(log_file);
  EXPECT_FALSE(KeysOfTasksGiven(log).empty()) << "is the log written?";
  for (const std::string& task : TasksGivenAfterTheirEnd(log)) {
    ADD_FAILURE() << "given again though it had ended: " << task;
  }
}

void ExpectEqualResult(const v1::Job& job, const v1::Job& undisturbed) {
  ASSERT_EQ(undisturbed.state(), v1::Job::SUCCEEDED) << undisturbed.error().message();
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().SerializeAsString(),
            undisturbed.report().result().SerializeAsString());
  EXPECT_EQ(SumsOfSoup(job), SumsOfSoup(undisturbed));
  EXPECT_EQ(job.report().cost().evaluations_run(), undisturbed.report().cost().evaluations_run())
      << "what was measured was measured once";
}

}  // namespace stockpot
