#include "tests/e2e/patient_client.h"

#include <gtest/gtest.h>

#include <set>

namespace stockpot {

bool PatientClient::CreateOrFind(ServerProcess& server) {
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec_;
  request.set_request_id("the one job");
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

void ExpectEqualResult(const v1::Job& job, const v1::Job& undisturbed) {
  ASSERT_EQ(undisturbed.state(), v1::Job::SUCCEEDED) << undisturbed.error().message();
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().SerializeAsString(),
            undisturbed.report().result().SerializeAsString());
  EXPECT_EQ(job.report().cost().evaluations_run(), undisturbed.report().cost().evaluations_run())
      << "what was measured was measured once";
}

}  // namespace stockpot
