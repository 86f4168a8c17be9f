#include "server/worker/session/session.h"

#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/synchronization/notification.h"
#include "server/base/status.h"
#include "stockpot/worker/v1/worker_service.grpc.pb.h"
#include "tests/server/worker/session/worker_tasks.h"

namespace stockpot {
namespace {

using worker::v1::ServerMessage;
using worker::v1::WorkerMessage;
using Stream = grpc::ServerReaderWriter<ServerMessage, WorkerMessage>;
using CallMetadataOfTest = std::multimap<std::string, std::string>;

// A server whose side of the one stream is a function.
class ScriptedServer final : public worker::v1::WorkerService::Service {
 public:
  using Script = std::function<grpc::Status(Stream*)>;

  ScriptedServer(std::string address, Script script) : script_(std::move(script)) {
    grpc::ServerBuilder builder;
    builder.AddListeningPort(address, grpc::InsecureServerCredentials());
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~ScriptedServer() override { server_->Shutdown(); }

  grpc::Status Work(grpc::ServerContext* context, Stream* stream) override {
    for (const auto& [key, value] : context->client_metadata()) {
      metadata_.emplace(std::string(key.data(), key.size()),
                        std::string(value.data(), value.size()));
    }
    return script_(stream);
  }
  // Of the call; once it has ended.
  const CallMetadataOfTest& metadata() const { return metadata_; }

 private:
  CallMetadataOfTest metadata_;
  const Script script_;
  std::unique_ptr<grpc::Server> server_;
};

void Assign(Stream* stream, const std::string& id, const worker::v1::Task& task) {
  ServerMessage message;
  message.mutable_assignment()->set_assignment_id(id);
  *message.mutable_assignment()->mutable_task() = task;
  stream->Write(message);
}

void Cancel(Stream* stream, const std::string& id) {
  ServerMessage message;
  message.set_cancel(id);
  stream->Write(message);
}

// The next result; `progress` counts what came before it.
worker::v1::Result NextResult(Stream* stream, int* progress = nullptr) {
  WorkerMessage message;
  while (stream->Read(&message)) {
    if (message.has_result()) return message.result();
    if (message.has_progress() && progress != nullptr) ++*progress;
  }
  ADD_FAILURE() << "the stream ended without a result";
  return {};
}

worker::v1::Hello ReadHello(Stream* stream) {
  WorkerMessage message;
  EXPECT_TRUE(stream->Read(&message));
  return message.hello();
}

class SessionTest : public testing::Test {
 protected:
  absl::Status Serve(const ScriptedServer::Script& script) {
    ScriptedServer server(options_.server, script);
    return RunSession(options_, {"cpu", "a processor", "some numerics"}, runner_.get(), log_.get());
  }

  TinySweep sweep_{/*repeats=*/5000};
  std::unique_ptr<TaskRunner> runner_ = MakeRunner(sweep_);
  std::unique_ptr<Log> log_ = Log::Silent();
  SessionOptions options_{.server = "unix:" + (sweep_ / "socket"), .worker_id = "worker-1"};
};

TEST_F(SessionTest, SaysHelloThenAnswersOneTaskAfterTheOther) {
  const auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
  const absl::Status ended = Serve([&](Stream* stream) {
    const worker::v1::Hello hello = ReadHello(stream);
    EXPECT_EQ(hello.protocol_version(), 1);
    EXPECT_EQ(hello.worker_id(), "worker-1");
    EXPECT_EQ(hello.device_kind(), "cpu");
    EXPECT_EQ(hello.numerics(), "some numerics");
    EXPECT_EQ(hello.process_id(), getpid());
    for (const std::string id : {"1", "2"}) {
      Assign(stream, id, measure);
      const worker::v1::Result result = NextResult(stream);
      EXPECT_EQ(result.assignment_id(), id);
      EXPECT_EQ(result.code(), 0);
      EXPECT_EQ(result.result().measured().top1_correct(), 30000);
      EXPECT_GE(result.seconds(), 0.0);
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, WhatIsCountedGoesWithProgressAndResults) {
  WorkCounters counters;
  runner_ = MakeRunner(sweep_, nullptr, &counters);
  options_.counters = &counters;
  options_.read_memory = [] { return DeviceMemory{"cpu", 5, 10}; };
  options_.progress_interval = absl::ZeroDuration();
  auto measure = MeasureTaskOf(sweep_, runner_.get(), {0, 1});
  measure.mutable_measure()->set_batch_size(1000);
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", measure);
    int64_t examples = 0;
    WorkerMessage message;
    while (stream->Read(&message) && message.has_progress()) {
      EXPECT_GE(message.progress().counters().examples_evaluated(), examples);
      examples = message.progress().counters().examples_evaluated();
    }
    EXPECT_GT(examples, 0) << "it is told while the task runs";
    const worker::v1::WorkerCounters& so_far = message.result().counters();
    EXPECT_EQ(so_far.examples_evaluated(), message.result().result().measured().example_count());
    EXPECT_GT(so_far.device_busy_seconds(), 0);
    EXPECT_LE(so_far.device_busy_seconds(), message.result().seconds());
    EXPECT_EQ(so_far.device(), "cpu");
    EXPECT_EQ(so_far.device_memory_used_bytes(), 5);
    EXPECT_EQ(so_far.device_memory_total_bytes(), 10);
    EXPECT_GT(so_far.kept_checkpoint_bytes(), 0);
    // A task that fails counts as well; and nothing is counted that was not done.
    Assign(stream, "2", InspectCheckpointTaskOf(sweep_ / "none"));
    EXPECT_EQ(NextResult(stream).counters().examples_evaluated(), so_far.examples_evaluated());
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
  runner_.reset();
}

TEST_F(SessionTest, NobodyNeedsToCount) {
  const auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", measure);
    EXPECT_FALSE(NextResult(stream).has_counters());
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, AFailureTravelsWithItsFactsAndTheNextTaskRuns) {
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", InspectCheckpointTaskOf(sweep_ / "none"));
    const worker::v1::Result failed = NextResult(stream);
    const absl::Status status = ParseSerializedStatus(failed.status());
    EXPECT_EQ(failed.code(), static_cast<int>(absl::StatusCode::kNotFound));
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(GetErrorFacts(status).reason, "CHECKPOINT_NOT_FOUND");
    Assign(stream, "2", InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"));
    EXPECT_EQ(NextResult(stream).code(), 0);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, CancelGivesUpTheTaskAndNoOther) {
  auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
  measure.mutable_measure()->set_batch_size(1);  // thousands of chances to hear of it
  options_.progress_interval = absl::ZeroDuration();
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", measure);
    WorkerMessage message;
    EXPECT_TRUE(stream->Read(&message));  // it runs
    EXPECT_EQ(message.progress().assignment_id(), "1");
    EXPECT_EQ(message.progress().examples_total(), 30000);
    Cancel(stream, "0");
    Cancel(stream, "1");
    const worker::v1::Result result = NextResult(stream);
    EXPECT_EQ(result.code(), static_cast<int>(absl::StatusCode::kCancelled));
    Cancel(stream, "1");
    Assign(stream, "2", InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"));
    EXPECT_EQ(NextResult(stream).code(), 0);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, HeartbeatsGoOnWhileATaskSaysNothing) {
  auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
  measure.mutable_measure()->set_batch_size(1);
  options_.progress_interval = absl::Hours(1);
  options_.heartbeat_interval = absl::Milliseconds(1);
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", measure);
    int progress = 0;
    EXPECT_EQ(NextResult(stream, &progress).code(), 0);
    EXPECT_GT(progress, 0);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, ShutdownEndsItInTheMiddleOfATask) {
  auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
  measure.mutable_measure()->set_batch_size(1);
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Assign(stream, "1", measure);
    ServerMessage shutdown;
    shutdown.set_shutdown(true);
    stream->Write(shutdown);
    WorkerMessage message;
    while (stream->Read(&message)) {
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(SessionTest, TheStreamsEndEndsIt) {
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    return grpc::Status(grpc::StatusCode::FAILED_PRECONDITION, "another protocol version");
  });
  EXPECT_EQ(ended.code(), absl::StatusCode::kFailedPrecondition) << ended;
  EXPECT_EQ(ended.message(), "another protocol version");
}

// From another machine, as far as the protocol goes.
class RemoteSessionTest : public SessionTest {
 protected:
  RemoteSessionTest() {
    options_.worker_id = "";
    options_.remote.release = "1.2.3";
    options_.remote.data_folder = "/data/stockpot";
    options_.remote.folder_id = "its id";
    options_.remote.token = "secret";
    options_.remote.stop = &stop_;
    options_.remote.drain_timeout = absl::Minutes(5);
    options_.remote.connected = [this] { connected_ = true; };
  }
  static void Welcome(Stream* stream, double heartbeat_seconds = 1) {
    ServerMessage message;
    message.mutable_welcome()->set_worker_id("remote-1");
    message.mutable_welcome()->set_heartbeat_seconds(heartbeat_seconds);
    stream->Write(message);
  }
  static void Shutdown(Stream* stream) {
    ServerMessage message;
    message.set_shutdown(true);
    stream->Write(message);
  }
  // Until the worker says that it leaves.
  static bool HearsLeaving(Stream* stream) {
    WorkerMessage message;
    while (stream->Read(&message)) {
      if (message.leaving()) return true;
    }
    return false;
  }
  // Made before a session has the runner, which is confined to one thread at a time.
  worker::v1::Task LongTask() {
    auto measure = MeasureTaskOf(sweep_, runner_.get(), {0});
    measure.mutable_measure()->set_batch_size(1);
    return measure;
  }

  StopRequest stop_;
  std::atomic<bool> connected_ = false;
};

TEST_F(RemoteSessionTest, ShowsWhoItIsAndIsConnectedOnceWelcome) {
  ScriptedServer server(options_.server, [&](Stream* stream) {
    const worker::v1::Hello hello = ReadHello(stream);
    EXPECT_EQ(hello.worker_id(), "");
    EXPECT_EQ(hello.release(), "1.2.3");
    EXPECT_EQ(hello.data_folder(), "/data/stockpot");
    EXPECT_EQ(hello.folder_id(), "its id");
    EXPECT_FALSE(connected_);
    Welcome(stream);
    Assign(stream, "1", InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"));
    EXPECT_EQ(NextResult(stream).code(), 0);
    EXPECT_TRUE(connected_);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(RunSession(options_, {}, runner_.get(), log_.get()).ok());
  EXPECT_THAT(server.metadata(),
              testing::Contains(testing::Pair("authorization", "Bearer secret")));
}

TEST_F(RemoteSessionTest, BeatsAsOftenAsTheServerSays) {
  options_.progress_interval = absl::Hours(1);
  options_.heartbeat_interval = absl::Hours(1);
  const worker::v1::Task task = LongTask();
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Welcome(stream, 0.05);
    Assign(stream, "1", task);
    int progress = 0;
    EXPECT_EQ(NextResult(stream, &progress).code(), 0);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(RemoteSessionTest, OneThatIsIdleLeavesWhenItIsAsked) {
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Welcome(stream);
    // Known to be welcome: it has answered.
    Assign(stream, "1", InspectCheckpointTaskOf(sweep_ / "good_0.safetensors"));
    NextResult(stream);
    stop_.Set();
    EXPECT_TRUE(HearsLeaving(stream));
    Shutdown(stream);
    WorkerMessage message;
    while (stream->Read(&message)) {
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(RemoteSessionTest, ARunningTaskMayFinishFirst) {
  options_.progress_interval = absl::ZeroDuration();
  const worker::v1::Task task = LongTask();
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Welcome(stream);
    Assign(stream, "1", task);
    WorkerMessage message;
    EXPECT_TRUE(stream->Read(&message));  // it runs
    stop_.Set();
    EXPECT_TRUE(HearsLeaving(stream));
    EXPECT_EQ(NextResult(stream).code(), 0);
    Shutdown(stream);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(RemoteSessionTest, ATaskThatIsNotDoneInTimeIsHandedBack) {
  options_.remote.drain_timeout = absl::ZeroDuration();
  options_.progress_interval = absl::ZeroDuration();
  const worker::v1::Task task = LongTask();
  const absl::Status ended = Serve([&](Stream* stream) {
    ReadHello(stream);
    Welcome(stream);
    Assign(stream, "1", task);
    WorkerMessage message;
    EXPECT_TRUE(stream->Read(&message));
    stop_.Set();
    EXPECT_TRUE(HearsLeaving(stream));
    const worker::v1::Result result = NextResult(stream);
    EXPECT_EQ(result.code(), static_cast<int>(absl::StatusCode::kCancelled));
    EXPECT_EQ(GetErrorFacts(ParseSerializedStatus(result.status())).reason, "HANDED_BACK");
    Shutdown(stream);
    return grpc::Status::OK;
  });
  EXPECT_TRUE(ended.ok()) << ended;
}

TEST_F(RemoteSessionTest, AServerThatDoesNotAnswerHoldsNobodyUp) {
  options_.remote.drain_timeout = absl::ZeroDuration();
  options_.abandon_after = absl::Milliseconds(50);
  stop_.Set();
  const absl::Status ended = Serve([&](Stream* stream) {
    WorkerMessage message;
    while (stream->Read(&message)) {
    }
    return grpc::Status::OK;
  });
  EXPECT_EQ(ended.code(), absl::StatusCode::kCancelled) << ended;
}

TEST_F(RemoteSessionTest, WhyThereIsNoConnectionIsSaid) {
  const absl::Status ended = RunSession(options_, {}, runner_.get(), log_.get());
  EXPECT_EQ(ended.code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(ended.message()), testing::HasSubstr("No such file"));
}

TEST_F(SessionTest, NoServerIsUnavailable) {
  options_.connect_timeout = absl::Milliseconds(1);
  EXPECT_EQ(RunSession(options_, {}, runner_.get(), log_.get()).code(),
            absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace stockpot
