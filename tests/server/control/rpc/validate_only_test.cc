// CreateJob with validate_only: everything reachable is looked at, nothing is stored.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <functional>
#include <string>
#include <utility>

#include "absl/synchronization/mutex.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A request of which everything is there.
class ValidateOnlyTest : public RpcTest {
 protected:
  ValidateOnlyTest() {
    for (const char* file : {"model.pt", "a.safetensors", "b.safetensors", "set.safetensors"}) {
      EXPECT_TRUE(WriteFileDurably(folder_ / file, "x").ok());
    }
    EXPECT_TRUE(MakeFolders(folder_ / "images/cat").ok());
    request_.set_validate_only(true);
    v1::JobSpec& spec = *request_.mutable_job()->mutable_spec();
    spec.mutable_model()->set_architecture_uri(folder_ / "model.pt");
    spec.add_ingredients()->set_uri(folder_ / "a.safetensors");
    spec.add_ingredients()->set_uri(folder_ / "b.safetensors");
    spec.mutable_evaluation()->mutable_held_out()->set_uri(folder_ / "images");
    v1::DataSet* report_set = spec.mutable_evaluation()->add_report_sets();
    report_set->set_name("test");
    report_set->set_uri(folder_ / "set.safetensors");
  }
  v1::JobSpec& spec() { return *request_.mutable_job()->mutable_spec(); }
  grpc::Status Validate() {
    v1::Job job;
    return Call(&v1::SoupService::Stub::CreateJob, request_, &job);
  }

  v1::CreateJobRequest request_;
};

TEST_F(ValidateOnlyTest, TakesWhatIsThereAndStoresNothing) {
  v1::Job job;
  const grpc::Status status = Call(&v1::SoupService::Stub::CreateJob, request_, &job);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_EQ(job.name(), "");
  EXPECT_EQ(job.spec().SerializeAsString(), spec().SerializeAsString());
  EXPECT_TRUE(engine_.created().empty());
}

TEST_F(ValidateOnlyTest, AWorkerLooksWhetherAnObjectStoreCanBeWritten) {
  spec().mutable_output()->set_output_uri("s3://soups/a/");
  absl::Mutex mutex;  // of what a thread of the server looks at too
  Fact answer;
  Json asked;
  engine_.AnswerTasks([&](const Task& task, const std::function<void(const Fact&)>& done) {
    Fact now;
    {
      const absl::MutexLock lock(&mutex);
      asked = task.body;
      now = answer;
    }
    done(now);
  });
  const auto take_asked = [&] {
    const absl::MutexLock lock(&mutex);
    return std::exchange(asked, Json());
  };
  v1::Job job;
  ASSERT_TRUE(Call(&v1::SoupService::Stub::CreateJob, request_, &job).ok());
  EXPECT_EQ(job.spec().SerializeAsString(), spec().SerializeAsString());
  Json publish = take_asked()["publish_artifacts"];
  EXPECT_EQ(publish["output_uri"], "s3://soups/a");
  EXPECT_TRUE(publish["files"].empty());

  {
    const absl::MutexLock lock(&mutex);
    answer.status = WithReason(absl::AlreadyExistsError("another job's"), "OUTPUT_EXISTS");
  }
  const grpc::Status status = Validate();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::ALREADY_EXISTS);
  EXPECT_EQ(ClientError(status).info.reason(), "OUTPUT_EXISTS");
  EXPECT_THAT(ClientError(status).fields(), ElementsAre("job.spec.output.output_uri"));

  take_asked();
  spec().mutable_output()->set_output_uri("s3://others/a");
  EXPECT_EQ(ClientError(Validate()).info.reason(), "OUTPUT_NOT_ALLOWED");
  EXPECT_TRUE(take_asked().empty()) << "nobody is asked";
  EXPECT_TRUE(engine_.created().empty());
}

TEST_F(ValidateOnlyTest, NamesEverythingThatIsNotThereAtOnce) {
  spec().mutable_ingredients(0)->set_uri(folder_ / "none");
  spec().mutable_ingredients(1)->set_uri(folder_ / "images");
  spec().mutable_evaluation()->mutable_held_out()->set_uri(folder_ / "gone");
  spec().mutable_model()->set_architecture_uri(folder_ / "none.pt");
  const grpc::Status status = Validate();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::NOT_FOUND);
  EXPECT_THAT(status.error_message(), HasSubstr("(and 3 more)"));
  const ClientError error(status);
  EXPECT_EQ(error.info.reason(), "ARCHITECTURE_INVALID");
  EXPECT_THAT(error.fields(),
              ElementsAre("job.spec.model.architecture_uri", "job.spec.ingredients[0].uri",
                          "job.spec.ingredients[1].uri", "job.spec.evaluation.held_out.uri"));
}

TEST_F(ValidateOnlyTest, SaysOfEachWhatAJobWouldSay) {
  struct Case {
    const char* name;
    std::function<void(v1::JobSpec*)> spoil;
    grpc::StatusCode code;
    const char* reason;
  };
  const auto path = [&](const char* name) { return folder_ / name; };
  const Case cases[] = {
      {"a checkpoint that is missing",
       [&](v1::JobSpec* spec) { spec->mutable_ingredients(1)->set_uri(path("none")); },
       grpc::StatusCode::NOT_FOUND, "CHECKPOINT_NOT_FOUND"},
      {"a checkpoint that is a folder",
       [&](v1::JobSpec* spec) { spec->mutable_ingredients(1)->set_uri(path("images")); },
       grpc::StatusCode::INVALID_ARGUMENT, "CHECKPOINT_INVALID"},
      {"a checkpoint below a file",
       [&](v1::JobSpec* spec) { spec->mutable_ingredients(1)->set_uri(path("model.pt/x")); },
       grpc::StatusCode::NOT_FOUND, "CHECKPOINT_NOT_FOUND"},
      {"an architecture that is a folder",
       [&](v1::JobSpec* spec) { spec->mutable_model()->set_architecture_uri(path("images")); },
       grpc::StatusCode::INVALID_ARGUMENT, "ARCHITECTURE_INVALID"},
      {"a data set that is missing",
       [&](v1::JobSpec* spec) {
         spec->mutable_evaluation()->mutable_report_sets(0)->set_uri(path("none.safetensors"));
       },
       grpc::StatusCode::NOT_FOUND, "DATA_SET_NOT_FOUND"},
      {"an image folder that is a file",
       [&](v1::JobSpec* spec) {
         spec->mutable_evaluation()->mutable_held_out()->set_uri(path("model.pt"));
       },
       grpc::StatusCode::INVALID_ARGUMENT, "DATA_SET_INVALID"},
      {"a link that leads out of what is allowed",
       [&](v1::JobSpec* spec) { spec->mutable_ingredients(1)->set_uri(path("escape")); },
       grpc::StatusCode::PERMISSION_DENIED, "PATH_NOT_ALLOWED"},
      {"an output folder that is a file",
       [&](v1::JobSpec* spec) { spec->mutable_output()->set_output_uri(path("out/file")); },
       grpc::StatusCode::INVALID_ARGUMENT, "INVALID_FIELD"},
  };
  std::filesystem::create_symlink("/etc/passwd", folder_ / "escape");
  ASSERT_TRUE(MakeFolders(folder_ / "out").ok());
  ASSERT_TRUE(WriteFileDurably(folder_ / "out/file", "x").ok());
  const v1::JobSpec good = spec();
  for (const Case& bad : cases) {
    SCOPED_TRACE(bad.name);
    spec() = good;
    bad.spoil(&spec());
    const grpc::Status status = Validate();
    EXPECT_EQ(status.error_code(), bad.code) << status.error_message();
    const ClientError error(status);
    EXPECT_EQ(error.info.reason(), bad.reason);
    EXPECT_EQ(error.fields().size(), 1u);
  }
}

TEST_F(ValidateOnlyTest, AMissingCheckpointThatWouldBeSkippedIsNoFault) {
  spec().mutable_ingredients(0)->set_uri(folder_ / "none");
  spec().set_on_bad_ingredient(v1::JobSpec::SKIP);
  EXPECT_TRUE(Validate().ok());
  spec().mutable_ingredients(1)->set_uri(folder_ / "none too");
  EXPECT_EQ(ClientError(Validate()).info.reason(), "CHECKPOINT_NOT_FOUND");
}

TEST_F(ValidateOnlyTest, SaysThatThereIsNoRoomAndWhenToComeBack) {
  ErrorFacts facts;
  facts.reason = "TOO_MANY_JOBS";
  facts.retry_after = absl::Seconds(30);
  engine_.room = WithFacts(absl::ResourceExhaustedError("full"), facts);
  const grpc::Status status = Validate();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(ClientError(status).info.reason(), "TOO_MANY_JOBS");
  EXPECT_EQ(ClientError(status).retry.retry_delay().seconds(), 30);
}

TEST_F(ValidateOnlyTest, ARealCreateJobLeavesItToTheJob) {
  spec().mutable_ingredients(0)->set_uri(folder_ / "none");
  request_.set_validate_only(false);
  EXPECT_TRUE(Validate().ok());
}

}  // namespace
}  // namespace stockpot
