#include "server/control/rpc/soup_service.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Stub = v1::SoupService::Stub;

class SoupServiceTest : public RpcTest {
 protected:
  grpc::Status Create(const v1::CreateJobRequest& request, v1::Job* job) {
    return Call(&Stub::CreateJob, request, job);
  }
};

TEST_F(SoupServiceTest, CreateJobHandsTheSpecOnAsItCame) {
  v1::CreateJobRequest request = GoodRequest();
  request.set_job_id("my-job");
  request.set_request_id("r1");
  request.mutable_job()->set_display_name("Sweep 7");
  (*request.mutable_job()->mutable_labels())["team"] = "vision";
  request.mutable_job()->set_priority(-3);
  v1::Job job;
  ASSERT_TRUE(Create(request, &job).ok());
  EXPECT_EQ(job.name(), "jobs/my-job");
  EXPECT_EQ(job.spec().SerializeAsString(), request.job().spec().SerializeAsString());
  const NewJob created = engine_.created().at(0);
  EXPECT_EQ(created.id, "my-job");
  EXPECT_EQ(created.request_id, "r1");
  EXPECT_EQ(created.display_name, "Sweep 7");
  EXPECT_EQ(created.labels.at("team"), "vision");
  EXPECT_EQ(created.priority, -3);
  EXPECT_THAT(created.spec, HasSubstr("\"architecture_uri\":\"/arch/model.pt\""));
}

TEST_F(SoupServiceTest, CreateJobTakesTheClientFromTheMetadata) {
  const auto create = [&](const std::vector<std::string>& clients, v1::Job* job) {
    grpc::ClientContext context;
    for (const std::string& client : clients) context.AddMetadata("stockpot-client", client);
    return stub_->CreateJob(&context, GoodRequest(), job);
  };
  v1::Job job;
  ASSERT_TRUE(create({"ci.bot_7@example-org"}, &job).ok());
  EXPECT_EQ(job.client(), "ci.bot_7@example-org");
  ASSERT_TRUE(create({}, &job).ok());
  EXPECT_EQ(job.client(), "");
  ASSERT_TRUE(create({std::string(63, 'a')}, &job).ok());
  const std::vector<std::string> cases[] = {
      {"two words"}, {"a/b"}, {std::string(64, 'a')}, {"a", "b"}};
  for (const std::vector<std::string>& clients : cases) {
    const ClientError error(create(clients, &job));
    EXPECT_EQ(error.info.reason(), "INVALID_FIELD") << clients[0];
    EXPECT_THAT(error.fields(), ElementsAre("metadata.stockpot-client")) << clients[0];
  }
  EXPECT_EQ(engine_.created().size(), 3u);
}

TEST_F(SoupServiceTest, CreateJobResolvesTheOutputFolder) {
  v1::CreateJobRequest request = GoodRequest();
  v1::Output* output = request.mutable_job()->mutable_spec()->mutable_output();
  output->set_output_uri("file:///out/./soups/1/");
  v1::Job job;
  ASSERT_TRUE(Create(request, &job).ok());
  EXPECT_EQ(engine_.created().at(0).output_folder, "/out/soups/1");
  output->set_output_uri("/data/soups");
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ClientError(status).info.reason(), "OUTPUT_NOT_ALLOWED");
  EXPECT_THAT(ClientError(status).fields(), ElementsAre("job.spec.output.output_uri"));
  EXPECT_EQ(engine_.created().size(), 1u);
}

TEST_F(SoupServiceTest, ValidateOnlyChecksTheSpecFirst) {
  v1::CreateJobRequest request = GoodRequest();
  request.set_validate_only(true);
  request.mutable_job()->clear_spec();
  v1::Job job;
  EXPECT_EQ(ClientError(Create(request, &job)).info.reason(), "INVALID_FIELD");
}

TEST_F(SoupServiceTest, CreateJobNamesEveryFaultyFieldAtOnce) {
  v1::CreateJobRequest request = GoodRequest();
  request.set_job_id("No Spaces");
  request.set_request_id("\n");
  request.mutable_job()->set_display_name(std::string(201, 'x'));
  request.mutable_job()->set_priority(101);
  (*request.mutable_job()->mutable_labels())["Team"] = "x";
  request.mutable_job()->mutable_spec()->mutable_ingredients(1)->clear_uri();
  request.mutable_job()->mutable_spec()->mutable_compute()->set_batch_size(-1);
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  const ClientError error(status);
  EXPECT_EQ(error.info.reason(), "INVALID_FIELD");
  EXPECT_THAT(error.fields(), testing::UnorderedElementsAre(
                                  "job_id", "request_id", "job.display_name", "job.priority",
                                  "job.labels[\"Team\"]", "job.spec.ingredients[1].uri",
                                  "job.spec.compute.batch_size"));
  EXPECT_TRUE(engine_.created().empty());
}

TEST_F(SoupServiceTest, RefusesPathsThatTheOperatorDoesNotAllow) {
  v1::CreateJobRequest request = GoodRequest();
  request.mutable_job()->mutable_spec()->mutable_ingredients(1)->set_uri("/etc/passwd");
  request.mutable_job()->mutable_spec()->mutable_evaluation()->add_report_sets()->set_uri("/home");
  request.mutable_job()->mutable_spec()->mutable_evaluation()->mutable_report_sets(0)->set_name(
      "r");
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  const ClientError error(status);
  EXPECT_EQ(error.info.reason(), "PATH_NOT_ALLOWED");
  EXPECT_THAT(error.fields(),
              ElementsAre("job.spec.ingredients[1].uri", "job.spec.evaluation.report_sets[0].uri"));
}

TEST_F(SoupServiceTest, RefusesArchitecturesOutsideTheAllowedPrefixes) {
  v1::CreateJobRequest request = GoodRequest();
  request.mutable_job()->mutable_spec()->mutable_model()->set_architecture_uri("/data/model.pt");
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::PERMISSION_DENIED);
  EXPECT_EQ(ClientError(status).info.reason(), "ARCHITECTURE_NOT_ALLOWED");
  EXPECT_THAT(ClientError(status).fields(), ElementsAre("job.spec.model.architecture_uri"));
}

TEST_F(SoupServiceTest, RefusesWaysOutOfAnAllowedFolder) {
  for (const char* uri : {"/data/../etc/passwd", "file:///data/%2e%2e/etc", "data/a", "/data2/a"}) {
    v1::CreateJobRequest request = GoodRequest();
    request.mutable_job()->mutable_spec()->mutable_ingredients(0)->set_uri(uri);
    v1::Job job;
    const grpc::Status status = Create(request, &job);
    EXPECT_FALSE(status.ok()) << uri;
    EXPECT_THAT(ClientError(status).fields(), ElementsAre("job.spec.ingredients[0].uri")) << uri;
  }
}

TEST_F(SoupServiceTest, SaysThatASchemeComesLater) {
  v1::CreateJobRequest request = GoodRequest();
  request.mutable_job()->mutable_spec()->mutable_ingredients(0)->set_uri("ftp://host/key");
  v1::Job job;
  const grpc::Status status = Create(request, &job);
  EXPECT_EQ(status.error_code(), grpc::StatusCode::UNIMPLEMENTED);
  EXPECT_EQ(ClientError(status).info.reason(), "NOT_IMPLEMENTED");
}

TEST_F(SoupServiceTest, GetJobGivesStateReportErrorAndArtifacts) {
  JobRecord record = PutJob("jobs/a", JobState::kFailed);
  record.error = WithMetadata(
      WithReason(absl::InvalidArgumentError("tensor 'w' does not fit"), "CHECKPOINT_MISMATCH"),
      "tensor", "w");
  record.start_time = absl::FromUnixMicros(1'600'000'001'250'000);
  record.report = R"({"result":{"recipe":"greedy/1","unknown_to_this_release":1}})";
  record.artifacts = R"([{"file":"soup.safetensors","size_bytes":"12","sha256":"ab"}])";
  engine_.PutJob(record);
  JobProgress progress;
  progress.tasks_done = 3;
  engine_.SetProgress("jobs/a", progress);
  v1::GetJobRequest request;
  request.set_name("jobs/a");
  v1::Job job;
  ASSERT_TRUE(Call(&Stub::GetJob, request, &job).ok());
  EXPECT_EQ(job.state(), v1::Job::FAILED);
  EXPECT_EQ(job.spec().model().architecture_uri(), "/arch/model.pt");
  EXPECT_EQ(job.error().code(), 3);
  google::rpc::ErrorInfo info;
  ASSERT_TRUE(job.error().details(0).UnpackTo(&info));
  EXPECT_EQ(info.reason(), "CHECKPOINT_MISMATCH");
  EXPECT_EQ(info.metadata().at("tensor"), "w");
  EXPECT_EQ(job.start_time().nanos(), 250'000'000);
  EXPECT_FALSE(job.has_end_time());
  EXPECT_EQ(job.report().result().recipe(), "greedy/1");
  EXPECT_EQ(job.artifacts(0).size_bytes(), 12);
  EXPECT_EQ(job.progress().tasks_done(), 3);
}

TEST_F(SoupServiceTest, EveryMethodRefusesAnotherNameAndAnUnknownJob) {
  const auto get = [&](const std::string& name) {
    v1::GetJobRequest request;
    request.set_name(name);
    v1::Job job;
    return Call(&Stub::GetJob, request, &job);
  };
  const auto remove = [&](const std::string& name) {
    v1::DeleteJobRequest request;
    request.set_name(name);
    google::protobuf::Empty empty;
    return Call(&Stub::DeleteJob, request, &empty);
  };
  for (const char* name : {"", "a", "jobs/", "jobs/A", "jobs/a/b", "jobs/../a"}) {
    EXPECT_THAT(ClientError(get(name)).fields(), ElementsAre("name")) << name;
    EXPECT_THAT(ClientError(remove(name)).fields(), ElementsAre("name")) << name;
  }
  EXPECT_EQ(get("jobs/none").error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_EQ(ClientError(remove("jobs/none")).info.reason(), "JOB_NOT_FOUND");
}

TEST_F(SoupServiceTest, ListJobsPagesThroughEveryJobOnce) {
  for (int i = 0; i < 25; ++i) {
    JobRecord record = PutJob(absl::StrCat("jobs/", i));
    record.create_time += absl::Microseconds(i / 3);  // some at the same time
    record.labels["team"] = i % 2 == 0 ? "even" : "odd";
    record.report = R"({"result":{"recipe":"greedy/1"}})";
    engine_.PutJob(record);
  }
  v1::ListJobsRequest request;
  request.set_page_size(4);
  request.set_filter("labels.team=even AND state=RUNNING");
  std::vector<std::string> seen;
  do {
    v1::ListJobsResponse response;
    ASSERT_TRUE(Call(&Stub::ListJobs, request, &response).ok());
    ASSERT_LE(response.jobs_size(), 4);
    for (const v1::Job& job : response.jobs()) {
      EXPECT_FALSE(job.has_report());
      seen.push_back(job.name());
    }
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(seen.size(), 13u);
  EXPECT_EQ(std::set<std::string>(seen.begin(), seen.end()).size(), 13u);
  EXPECT_EQ(seen.front(), "jobs/24");
}

TEST_F(SoupServiceTest, ListJobsPagesInEveryOrder) {
  for (int i = 0; i < 9; ++i) {
    JobRecord record = PutJob(absl::StrCat("jobs/", i));
    record.create_time += absl::Seconds(i / 2);
    record.priority = i % 3 - 1;
    engine_.PutJob(record);
  }
  const std::pair<const char*, std::vector<std::string>> cases[] = {
      {"create_time desc", {"8", "6", "7", "4", "5", "2", "3", "0", "1"}},
      {"create_time", {"0", "1", "2", "3", "4", "5", "6", "7", "8"}},
      {"priority desc", {"8", "5", "2", "7", "4", "1", "6", "3", "0"}},
      {"priority", {"6", "3", "0", "7", "4", "1", "8", "5", "2"}},
  };
  for (const auto& [order_by, expected] : cases) {
    v1::ListJobsRequest request;
    request.set_page_size(2);
    request.set_order_by(order_by);
    std::vector<std::string> seen;
    do {
      v1::ListJobsResponse response;
      ASSERT_TRUE(Call(&Stub::ListJobs, request, &response).ok());
      for (const v1::Job& job : response.jobs()) seen.push_back(job.name().substr(5));
      request.set_page_token(response.next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(seen, expected) << order_by;
  }
}

TEST_F(SoupServiceTest, InspectSourceRunsOneTaskAndGivesItsResult) {
  engine_.AnswerTasks([](const Task& task, std::function<void(const Fact&)> done) {
    EXPECT_EQ(task.kind(), "inspect_checkpoint");
    EXPECT_EQ(task.body["inspect_checkpoint"]["uri"], "/data/a.safetensors");
    Fact fact;
    fact.result = Json::parse(
        R"({"checkpoint":{"format":"safetensors","byte_count":"40",
            "tensors":[{"name":"w","dtype":"F32","shape":["2","5"]}]}})");
    done(fact);
  });
  v1::InspectSourceRequest request;
  request.set_checkpoint_uri("/data/a.safetensors");
  v1::InspectSourceResponse response;
  ASSERT_TRUE(Call(&Stub::InspectSource, request, &response).ok());
  EXPECT_EQ(response.checkpoint().format(), "safetensors");
  EXPECT_EQ(response.checkpoint().byte_count(), 40);
  EXPECT_EQ(response.checkpoint().tensors(0).shape(1), 5);
}

TEST_F(SoupServiceTest, InspectSourceGivesTheTasksError) {
  engine_.AnswerTasks([](const Task&, std::function<void(const Fact&)> done) {
    Fact fact;
    fact.status = WithReason(absl::NotFoundError("no such file"), "CHECKPOINT_NOT_FOUND");
    done(fact);
  });
  v1::InspectSourceRequest request;
  request.set_checkpoint_uri("/data/none");
  v1::InspectSourceResponse response;
  const grpc::Status status = Call(&Stub::InspectSource, request, &response);
  EXPECT_EQ(ClientError(status).info.reason(), "CHECKPOINT_NOT_FOUND");
}

TEST_F(SoupServiceTest, InspectSourceIsSubjectToTheAllowList) {
  v1::InspectSourceRequest request;
  v1::InspectSourceResponse response;
  EXPECT_THAT(ClientError(Call(&Stub::InspectSource, request, &response)).fields(),
              ElementsAre("source"));
  request.set_checkpoint_uri("/etc/passwd");
  EXPECT_THAT(ClientError(Call(&Stub::InspectSource, request, &response)).fields(),
              ElementsAre("checkpoint_uri"));
  request.set_architecture_uri("/data/a.pt");
  EXPECT_THAT(ClientError(Call(&Stub::InspectSource, request, &response)).fields(),
              ElementsAre("architecture_uri"));
  request.mutable_data_set()->set_uri("/etc");
  EXPECT_THAT(ClientError(Call(&Stub::InspectSource, request, &response)).fields(),
              ElementsAre("data_set.uri"));
}

TEST_F(SoupServiceTest, InspectSourceEndsWithItsClientAndDropsTheLateResult) {
  std::function<void(const Fact&)> late;
  absl::Notification asked;
  engine_.AnswerTasks([&](const Task&, std::function<void(const Fact&)> done) {
    late = std::move(done);
    asked.Notify();
  });
  v1::InspectSourceRequest request;
  request.set_checkpoint_uri("/data/a");
  v1::InspectSourceResponse response;
  grpc::ClientContext context;
  std::thread canceller([&] {
    asked.WaitForNotification();
    context.TryCancel();
  });
  EXPECT_EQ(stub_->InspectSource(&context, request, &response).error_code(),
            grpc::StatusCode::CANCELLED);
  canceller.join();
  server_.reset();  // waits for the call
  late(Fact());
}

TEST_F(SoupServiceTest, RequestsThatAreTooLargeAreRefusedWithTheReason) {
  const auto refusal_of = [&](size_t bytes) {
    v1::GetJobRequest get;
    get.set_name(std::string(bytes, 'x'));
    v1::Job job;
    return Call(&Stub::GetJob, get, &job);
  };
  EXPECT_EQ(refusal_of(kMaxRequestBytes - 100).error_code(), StatusCode::INVALID_ARGUMENT);
  const grpc::Status refused = refusal_of(kMaxRequestBytes + 1);
  EXPECT_EQ(refused.error_code(), StatusCode::RESOURCE_EXHAUSTED) << refused.error_message();
  EXPECT_EQ(ClientError(refused).info.reason(), "REQUEST_TOO_LARGE");
  EXPECT_THAT(refused.error_message(), HasSubstr("1048576"));
  // What is far too large is not even read.
  EXPECT_EQ(refusal_of(2 * kMaxRequestBytes + 100).error_code(), StatusCode::RESOURCE_EXHAUSTED);
  v1::InspectSourceRequest inspect;
  inspect.set_checkpoint_uri(std::string(kMaxRequestBytes + 1, 'x'));
  v1::InspectSourceResponse found;
  EXPECT_EQ(ClientError(Call(&Stub::InspectSource, inspect, &found)).info.reason(),
            "REQUEST_TOO_LARGE");
}

TEST_F(SoupServiceTest, GetCapabilitiesSaysWhatThisServerCanDo) {
  Engine::WorkerView worker;
  worker.info.device_kind = "cpu";
  worker.busy = true;
  engine_.workers = {worker};
  v1::Capabilities capabilities;
  ASSERT_TRUE(Call(&Stub::GetCapabilities, v1::GetCapabilitiesRequest(), &capabilities).ok());
  EXPECT_EQ(capabilities.server_version(), "1.2.3");
  EXPECT_THAT(capabilities.recipes(),
              ElementsAre("greedy/1", "uniform/1", "best_single/1", "learned/1", "logit_ensemble/1",
                          "greedy_logit_ensemble/1"));
  EXPECT_EQ(capabilities.metrics_size(), v1::EvaluationPlan::Metric_ARRAYSIZE - 1);
  EXPECT_TRUE(capabilities.workers(0).busy());
  EXPECT_EQ(capabilities.limits().max_ingredients(), 1000);
  EXPECT_EQ(capabilities.limits().max_unfinished_jobs(), 1000);
  EXPECT_EQ(capabilities.limits().max_unfinished_jobs_of_client(), 7);
  EXPECT_EQ(capabilities.limits().max_unfinished_ingredients(), 0) << "no limit";
  EXPECT_EQ(capabilities.limits().max_artifact_bytes(), int64_t{1} << 40);
  EXPECT_EQ(capabilities.limits().max_request_bytes(), kMaxRequestBytes);
  EXPECT_EQ(capabilities.limits().max_waiting_inspections(), 100);
  EXPECT_EQ(capabilities.limits().max_waiting_inspections_of_client(), 50);
}

}  // namespace
}  // namespace stockpot
