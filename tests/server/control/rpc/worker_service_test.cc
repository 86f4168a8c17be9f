#include "server/control/rpc/worker_service.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/status.h"
#include "server/control/rpc/server.h"
#include "server/control/rpc/worker_translation.h"
#include "tests/support/fakes/fake_engine.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

class RecordingWork final : public WorkObserver {
 public:
  void WorkCounted(const std::string& worker_id, const WorkCounts& so_far) override {
    absl::MutexLock lock(&mutex_);
    last_[worker_id] = so_far;
  }
  void WorkerGone(const std::string& worker_id) override {
    absl::MutexLock lock(&mutex_);
    gone_.push_back(worker_id);
  }
  std::map<std::string, WorkCounts> last() const {
    absl::MutexLock lock(&mutex_);
    return last_;
  }
  std::vector<std::string> gone() const {
    absl::MutexLock lock(&mutex_);
    return gone_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::map<std::string, WorkCounts> last_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> gone_ ABSL_GUARDED_BY(mutex_);
};

class WorkerServiceTest : public ::testing::Test {
 protected:
  WorkerServiceTest()
      : log_(Log::Silent()),
        admission_([](const std::string& id) { return id == "known"; }),
        service_({}, &admission_, &engine_, log_.get(), &work_) {
    auto server = WorkerServer::Start(folder_ / "socket", &service_);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    grpc::ChannelArguments arguments;
    arguments.SetMaxSendMessageSize(-1);
    channel_ = grpc::CreateCustomChannel(absl::StrCat("unix:", folder_ / "socket"),
                                         grpc::InsecureChannelCredentials(), arguments);
    stub_ = worker::v1::WorkerService::NewStub(channel_);
    stream_ = stub_->Work(&context_);
  }

  ~WorkerServiceTest() override { context_.TryCancel(); }

  void Say(const worker::v1::WorkerMessage& message) { stream_->Write(message); }

  void Hello(const std::string& id = "known", int version = kWorkerProtocolVersion) {
    worker::v1::WorkerMessage message;
    worker::v1::Hello& hello = *message.mutable_hello();
    hello.set_protocol_version(version);
    hello.set_worker_id(id);
    hello.set_device_kind("cpu");
    hello.set_numerics("cpu, LibTorch 2.11.0");
    hello.set_process_id(42);
    Say(message);
  }

  void Connect() {
    Hello();
    EXPECT_EQ(engine_.WaitForWorkerCall(0).what, "connected");
  }

  grpc::Status End() {
    stream_->WritesDone();
    worker::v1::ServerMessage message;
    while (stream_->Read(&message)) {
    }
    return stream_->Finish();
  }

  Fact ResultFact(const worker::v1::Result& result) {
    worker::v1::WorkerMessage message;
    *message.mutable_result() = result;
    Say(message);
    const FakeEngine::WorkerCall call = engine_.WaitForWorkerCall(1);
    EXPECT_EQ(call.what, "result");
    EXPECT_EQ(call.assignment, result.assignment_id());
    return call.fact;
  }

  TemporaryFolder folder_;
  FakeEngine engine_;
  RecordingWork work_;
  std::unique_ptr<Log> log_;
  const ChildAdmission admission_;
  WorkerService service_;
  std::unique_ptr<WorkerServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<worker::v1::WorkerService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<worker::v1::WorkerMessage, worker::v1::ServerMessage>>
      stream_;
};

TEST_F(WorkerServiceTest, TellsTheEngineOfAWorkerAndOfItsEnd) {
  Connect();
  EXPECT_EQ(engine_.WaitForWorkerCall(0).worker, "known");
  EXPECT_TRUE(End().ok());
  EXPECT_EQ(engine_.WaitForWorkerCall(1).what, "lost");
}

TEST_F(WorkerServiceTest, AWorkerThatDiesIsLost) {
  Connect();
  context_.TryCancel();
  const FakeEngine::WorkerCall call = engine_.WaitForWorkerCall(1);
  EXPECT_EQ(call.what, "lost");
  EXPECT_EQ(call.worker, "known");
}

TEST_F(WorkerServiceTest, RefusesAnotherProtocolVersion) {
  Hello("known", kWorkerProtocolVersion + 1);
  const grpc::Status status = End();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), testing::HasSubstr("protocol version"));
}

TEST_F(WorkerServiceTest, RefusesAWorkerThatTheServerDidNotStart) {
  Hello("stranger");
  EXPECT_EQ(End().error_code(), grpc::StatusCode::PERMISSION_DENIED);
}

TEST_F(WorkerServiceTest, RefusesMessagesBeforeHelloAndASecondHello) {
  worker::v1::WorkerMessage message;
  message.mutable_progress()->set_assignment_id("x");
  Say(message);
  EXPECT_EQ(End().error_code(), grpc::StatusCode::FAILED_PRECONDITION);
}

TEST_F(WorkerServiceTest, RefusesWhatTheEngineRefuses) {
  engine_.RefuseWorkers(absl::UnavailableError("the server is stopping"));
  Hello();
  EXPECT_EQ(End().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST_F(WorkerServiceTest, GivesTasksCancelsAndShutsDown) {
  Connect();
  Assignment assignment;
  assignment.id = "a1";
  assignment.task = InspectCheckpointTask("jobs/x", "/data/a");
  engine_.link()->Assign(assignment);
  engine_.link()->Cancel("a1");
  engine_.link()->Shutdown();
  worker::v1::ServerMessage message;
  ASSERT_TRUE(stream_->Read(&message));
  EXPECT_EQ(message.assignment().assignment_id(), "a1");
  EXPECT_EQ(message.assignment().task().key(), assignment.task.key);
  EXPECT_EQ(message.assignment().task().inspect_checkpoint().uri(), "/data/a");
  ASSERT_TRUE(stream_->Read(&message));
  EXPECT_EQ(message.cancel(), "a1");
  ASSERT_TRUE(stream_->Read(&message));
  EXPECT_TRUE(message.shutdown());
}

TEST_F(WorkerServiceTest, AMeasureTaskArrivesWhole) {
  Connect();
  MeasureInputs inputs;
  inputs.architecture_uri = "/arch/m.pt";
  InputBindingSpec binding;
  binding.data_set_input = "images";
  binding.mean = {0.5F};
  binding.standard_deviation = {0.25F};
  inputs.bindings = {binding};
  inputs.weights.ingredients = {{"/data/a", "da"}, {"/data/b", "db"}};
  inputs.weights.coefficients = {0.1, 0.9};
  inputs.weights.dtype = "BFLOAT16";
  inputs.data_set.name = "test";
  inputs.data_set.uri = "/data/test";
  inputs.data_set.format = "IMAGE_FOLDER";
  inputs.data_set.interpolation = "BILINEAR";
  inputs.data_set.crop_height = 224;
  inputs.batch_size = 250;
  engine_.link()->Assign({"a1", MeasureTask(inputs)});
  worker::v1::ServerMessage message;
  ASSERT_TRUE(stream_->Read(&message));
  const worker::v1::Measure& measure = message.assignment().task().measure();
  EXPECT_EQ(measure.inputs(0).mean(0), 0.5F);
  EXPECT_EQ(measure.blend().ingredients(1).digest(), "db");
  EXPECT_EQ(measure.blend().coefficients(1), 0.9);
  EXPECT_EQ(measure.blend().dtype(), v1::Output::BFLOAT16);
  EXPECT_EQ(measure.data_set().format(), v1::DataSet::IMAGE_FOLDER);
  EXPECT_EQ(measure.data_set().image_transform().interpolation(), v1::ImageTransform::BILINEAR);
  EXPECT_EQ(measure.data_set().image_transform().crop_height(), 224);
  EXPECT_EQ(measure.batch_size(), 250);
}

TEST_F(WorkerServiceTest, ATaskThatHasNoMessageFailsInsteadOfHanging) {
  Connect();
  Assignment assignment;
  assignment.id = "a1";
  assignment.task.body = {{"from_the_future", Json::object()}};
  engine_.link()->Assign(assignment);
  const FakeEngine::WorkerCall call = engine_.WaitForWorkerCall(1);
  EXPECT_EQ(call.what, "result");
  EXPECT_EQ(call.fact.status.code(), absl::StatusCode::kInternal);
}

TEST_F(WorkerServiceTest, AWorkerThatIsGivenUpIsLostWhateverItDoes) {
  Connect();
  engine_.link()->Drop();
  worker::v1::ServerMessage message;
  EXPECT_FALSE(stream_->Read(&message));
  EXPECT_EQ(stream_->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(engine_.WaitForWorkerCall(1).what, "lost");
}

TEST_F(WorkerServiceTest, NumbersThatAreNoneCountNothing) {
  Connect();
  worker::v1::WorkerMessage message;
  message.mutable_progress()->set_assignment_id("a1");
  message.mutable_progress()->set_examples_done(-5);
  Say(message);
  EXPECT_EQ(engine_.WaitForWorkerCall(1).examples_done, 0);
  for (const double seconds : {-1.0, std::nan(""), HUGE_VAL}) {
    worker::v1::Result result;
    result.set_seconds(seconds);
    EXPECT_EQ(ToFact(result).seconds, 0);
  }
}

TEST_F(WorkerServiceTest, PassesProgressOn) {
  Connect();
  worker::v1::WorkerMessage message;
  message.mutable_progress()->set_assignment_id("a1");
  message.mutable_progress()->set_examples_done(500);
  Say(message);
  const FakeEngine::WorkerCall call = engine_.WaitForWorkerCall(1);
  EXPECT_EQ(call.assignment, "a1");
  EXPECT_EQ(call.examples_done, 500);
  EXPECT_TRUE(work_.last().empty()) << "it counts nothing, and may";
}

TEST_F(WorkerServiceTest, WhatWorkersCountedIsToldBeforeWhatCameWithIt) {
  Connect();
  worker::v1::WorkerMessage message;
  worker::v1::WorkerCounters* counters = message.mutable_progress()->mutable_counters();
  counters->set_examples_evaluated(7);
  counters->set_decode_seconds(0.5);
  counters->set_device("cpu");
  counters->set_device_memory_total_bytes(1 << 30);
  Say(message);
  engine_.WaitForWorkerCall(1);
  EXPECT_EQ(work_.last()["known"].examples, 7);
  EXPECT_EQ(work_.last()["known"].decode_seconds, 0.5);
  EXPECT_EQ(work_.last()["known"].memory.device, "cpu");
  EXPECT_EQ(work_.last()["known"].memory.total_bytes, 1 << 30);

  message.Clear();
  message.mutable_result()->set_assignment_id("a1");
  counters = message.mutable_result()->mutable_counters();
  counters->set_examples_evaluated(9);
  counters->add_caches()->set_cache("data_sets");
  counters->mutable_caches(0)->set_hits(3);
  for (int i = 0; i < 1000; ++i) counters->add_storage()->set_scheme(absl::StrCat("s", i));
  Say(message);
  engine_.WaitForWorkerCall(2);
  EXPECT_EQ(work_.last()["known"].examples, 9);
  EXPECT_EQ(work_.last()["known"].caches["data_sets"].hits, 3);
  EXPECT_LT(work_.last()["known"].storage.size(), 100u) << "no worker makes names without end";
  EXPECT_TRUE(End().ok());
  EXPECT_EQ(engine_.WaitForWorkerCall(3).what, "lost");
  EXPECT_THAT(work_.gone(), testing::ElementsAre("known"));
}

TEST_F(WorkerServiceTest, AResultIsAFactThatTheRecipeReads) {
  Connect();
  worker::v1::Result result;
  result.set_assignment_id("a1");
  result.set_seconds(1.5);
  result.set_examples(std::string("\0\xff", 2));
  worker::v1::Measured& measured = *result.mutable_result()->mutable_measured();
  measured.set_example_count(9'007'199'254'740'993);
  measured.set_top1_correct(0);
  measured.set_cross_entropy_sum(0.1 + 0.2);
  const Fact fact = ResultFact(result);
  EXPECT_EQ(fact.seconds, 1.5);
  EXPECT_EQ(fact.examples, std::string("\0\xff", 2));
  const absl::StatusOr<Score> score = ReadScore(fact);
  ASSERT_TRUE(score.ok()) << score.status();
  EXPECT_EQ(score->example_count, 9'007'199'254'740'993);
  EXPECT_EQ(score->top1_correct, 0);
  EXPECT_EQ(score->cross_entropy_sum, 0.1 + 0.2);  // every bit
}

TEST_F(WorkerServiceTest, AFailureKeepsItsReason) {
  Connect();
  const absl::Status status =
      WithReason(absl::DataLossError("file is too short"), "CHECKPOINT_TRUNCATED");
  worker::v1::Result result;
  result.set_assignment_id("a1");
  result.set_code(static_cast<int>(status.code()));
  result.set_status(SerializeStatus(status));
  const Fact fact = ResultFact(result);
  EXPECT_EQ(fact.status.code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(GetErrorFacts(fact.status).reason, "CHECKPOINT_TRUNCATED");
}

TEST_F(WorkerServiceTest, AResultThatSaysNothingIsAnError) {
  Connect();
  worker::v1::Result result;
  result.set_assignment_id("a1");
  EXPECT_EQ(ResultFact(result).status.code(), absl::StatusCode::kInternal);
}

TEST_F(WorkerServiceTest, CarriesTheExamplesOfALargeDataSet) {
  Connect();
  worker::v1::Result result;
  result.set_assignment_id("a1");
  result.mutable_result()->mutable_measured()->set_example_count(1);
  result.set_examples(std::string(20 << 20, 'x'));
  EXPECT_EQ(ResultFact(result).examples.size(), size_t{20} << 20);
}

TEST_F(WorkerServiceTest, StoppingTheServerLosesTheWorker) {
  Connect();
  server_->Stop(absl::ZeroDuration());
  EXPECT_EQ(engine_.WaitForWorkerCall(1).what, "lost");
}

}  // namespace
}  // namespace stockpot
