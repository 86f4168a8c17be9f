#include "server/control/rpc/server.h"

#include <gmock/gmock.h>
#include <grpcpp/generic/generic_stub.h>
#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

using Stub = v1::SoupService::Stub;

// Calls a method of a service that this test has no stub of.
grpc::Status RawCall(const std::shared_ptr<grpc::Channel>& channel, const std::string& method,
                     const std::string& request, std::string* response) {
  grpc::GenericStub stub(channel);
  grpc::ClientContext context;
  const grpc::Slice slice(request);
  const grpc::ByteBuffer in(&slice, 1);
  grpc::ByteBuffer out;
  grpc::Status status;
  absl::Notification done;
  stub.UnaryCall(&context, method, grpc::StubOptions(), &in, &out, [&](grpc::Status result) {
    status = std::move(result);
    done.Notify();
  });
  done.WaitForNotification();
  std::vector<grpc::Slice> slices;
  if (status.ok() && out.Dump(&slices).ok()) {
    for (const grpc::Slice& part : slices) {
      response->append(reinterpret_cast<const char*>(part.begin()), part.size());
    }
  }
  return status;
}

using PublicServerTest = RpcTest;

TEST_F(PublicServerTest, SaysItsHealth) {
  const auto health = [&] {
    std::string response;
    EXPECT_TRUE(RawCall(channel_, "/grpc.health.v1.Health/Check", "", &response).ok());
    return response;
  };
  EXPECT_EQ(health(), "\x08\x02");  // NOT_SERVING until told otherwise
  server_->SetServing(true);
  EXPECT_EQ(health(), "\x08\x01");
  server_->SetServing(false);
  EXPECT_EQ(health(), "\x08\x02");
}

TEST_F(PublicServerTest, SaysThatThePortIsTaken) {
  PublicServer::Options options;
  options.listen = server_->address();
  const auto second = PublicServer::Start(options, &service_, nullptr);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr(server_->address()));
  EXPECT_THAT(std::string(second.status().message()), testing::HasSubstr("taken"));
}

TEST_F(PublicServerTest, RefusesRequestsThatAreTooLarge) {
  v1::CreateJobRequest request = GoodRequest();
  request.set_request_id(std::string(5 << 20, 'x'));
  v1::Job job;
  EXPECT_EQ(Call(&Stub::CreateJob, request, &job).error_code(),
            grpc::StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(PublicServerTest, KnowsWhichAddressesStayOnThisMachine) {
  for (const char* address : {"127.0.0.1:1", "127.1.2.3:0", "localhost:80", "[::1]:5", "unix:/x"}) {
    EXPECT_TRUE(IsLoopbackAddress(address)) << address;
  }
  for (const char* address :
       {"0.0.0.0:1", "[::]:1", "192.168.0.1:1", "example.org:1", "127.evil.example:1", "*:1"}) {
    EXPECT_FALSE(IsLoopbackAddress(address)) << address;
  }
}

class RecordingObserver final : public CallObserver {
 public:
  void CallStarted(const CallName& call) override {
    absl::MutexLock lock(&mutex_);
    lines_.push_back(absl::StrCat("start ", call.type, " ", call.service, " ", call.method));
  }
  void CallEnded(const CallName& call, const std::string& code, double seconds) override {
    EXPECT_GE(seconds, 0);
    absl::MutexLock lock(&mutex_);
    lines_.push_back(absl::StrCat("end ", call.method, " ", code));
  }
  std::vector<std::string> lines() {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

// Stopping a server ends the streams of its service for good, so this one has a service of its own.
class ObservedServerTest : public RpcTest {
 protected:
  ObservedServerTest() : observed_service_(Options(), &engine_, &allowed_, &clock_, log_.get()) {
    StartServer(&observed_service_, &observer_);
  }
  ~ObservedServerTest() override { server_.reset(); }

  RecordingObserver observer_;
  SoupService observed_service_;
};

TEST_F(ObservedServerTest, TellsOfEveryCallAndItsCode) {
  PutJob("jobs/a", JobState::kSucceeded);
  v1::GetJobRequest request;
  request.set_name("jobs/a");
  v1::Job job;
  EXPECT_TRUE(Call(&Stub::GetJob, request, &job).ok());
  request.set_name("jobs/b");
  EXPECT_FALSE(Call(&Stub::GetJob, request, &job).ok());
  v1::WatchJobRequest watch;
  watch.set_name("jobs/a");
  grpc::ClientContext context;
  auto stream = stub_->WatchJob(&context, watch);
  v1::JobEvent event;
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(stream->Finish().ok());
  server_.reset();
  EXPECT_THAT(observer_.lines(),
              testing::ElementsAre(
                  "start unary stockpot.v1.SoupService GetJob", "end GetJob OK",
                  "start unary stockpot.v1.SoupService GetJob", "end GetJob NotFound",
                  "start server_stream stockpot.v1.SoupService WatchJob", "end WatchJob OK"));
}

TEST_F(ObservedServerTest, CountsACancelledCallOnce) {
  PutJob("jobs/a");
  v1::WatchJobRequest watch;
  watch.set_name("jobs/a");
  grpc::ClientContext context;
  auto stream = stub_->WatchJob(&context, watch);
  engine_.WaitForSubscriptions(1);
  context.TryCancel();
  stream->Finish();
  engine_.WaitForNoSubscription();
  server_.reset();
  EXPECT_THAT(observer_.lines(),
              testing::ElementsAre("start server_stream stockpot.v1.SoupService WatchJob",
                                   "end WatchJob Canceled"));
}

}  // namespace
}  // namespace stockpot
