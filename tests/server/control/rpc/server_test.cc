#include "server/control/rpc/server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "server/base/log.h"
#include "server/control/rpc/call_log.h"
#include "tests/server/control/rpc/rpc_fixture.h"
#include "tests/support/raw_call.h"

namespace stockpot {
namespace {

using Stub = v1::SoupService::Stub;

// Watches jobs/a, which has ended and has no events.
void WatchWithoutEvents(Stub* stub, grpc::ClientContext* context) {
  v1::WatchJobRequest watch;
  watch.set_name("jobs/a");
  auto stream = stub->WatchJob(context, watch);
  v1::JobEvent event;
  EXPECT_FALSE(stream->Read(&event));
  EXPECT_TRUE(stream->Finish().ok());
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
  void CallEnded(const CallName& call, const CallEnd& end) override {
    EXPECT_GE(end.seconds, 0);
    absl::MutexLock lock(&mutex_);
    lines_.push_back(absl::StrCat("end ", call.method, " ", end.code));
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
  ObservedServerTest() : observed_service_(Options(), &engine_, &allowed_, &clock_) {
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
  grpc::ClientContext context;
  WatchWithoutEvents(stub_.get(), &context);
  server_.reset();
  EXPECT_THAT(observer_.lines(),
              testing::ElementsAre(
                  "start unary stockpot.v1.SoupService GetJob", "end GetJob OK",
                  "start unary stockpot.v1.SoupService GetJob", "end GetJob NotFound",
                  "start server_stream stockpot.v1.SoupService WatchJob", "end WatchJob OK"));
}

// An empty name once ended the server, and made-up ones were labels of metrics without end.
TEST_F(ObservedServerTest, MethodsThatClientsMakeUpAreOneName) {
  std::vector<std::string> expected;
  for (const char* method : {"/a.b/C", "/stockpot.v1.SoupService/None", "x", "/", ""}) {
    std::string response;
    EXPECT_FALSE(RawCall(channel_, method, "", &response).ok()) << method;
    expected.push_back("start bidi_stream unknown unknown");
    expected.push_back("end unknown Unimplemented");
  }
  server_.reset();
  EXPECT_EQ(observer_.lines(), expected);
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

// Writes down the lines of the access log as "level event key=value …".
class RecordingLog final : public Log {
 public:
  void Debug(absl::string_view event, Fields fields) override { Add("debug", event, fields); }
  void Info(absl::string_view event, Fields fields) override { Add("info", event, fields); }
  void Warning(absl::string_view event, Fields fields) override { Add("warning", event, fields); }
  void Error(absl::string_view event, Fields fields) override { Add("error", event, fields); }

  std::vector<std::string> lines() {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  void Add(absl::string_view level, absl::string_view event, Fields fields) {
    std::string line = absl::StrCat(level, " ", event);
    for (const auto& [key, value] : fields) absl::StrAppend(&line, " ", key, "=", value);
    absl::MutexLock lock(&mutex_);
    lines_.push_back(line);
  }

  absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class AccessLogTest : public RpcTest {
 protected:
  AccessLogTest()
      : calls_(&log_, nullptr), service_of_log_(Options(), &engine_, &allowed_, &clock_) {
    StartServer(&service_of_log_, &calls_);
  }
  ~AccessLogTest() override { server_.reset(); }

  static std::string RequestIdOf(const grpc::ClientContext& context) {
    const auto found = context.GetServerInitialMetadata().find("x-request-id");
    if (found == context.GetServerInitialMetadata().end()) return "";
    return std::string(found->second.data(), found->second.size());
  }

  RecordingLog log_;
  LoggedCalls calls_;
  SoupService service_of_log_;
};

TEST_F(AccessLogTest, EveryCallIsOneLineWithItsRequestIdJobClientAndPeer) {
  PutJob("jobs/a");
  grpc::ClientContext context;
  context.AddMetadata("x-request-id", "trace 7");
  context.AddMetadata("stockpot-client", "ci");
  context.AddMetadata("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
  v1::CreateJobRequest request = GoodRequest();
  request.set_job_id("made");
  request.mutable_job()->mutable_spec()->mutable_ingredients(0)->set_uri("/data/x?sig=secret");
  v1::Job job;
  ASSERT_TRUE(stub_->CreateJob(&context, request, &job).ok());
  EXPECT_EQ(RequestIdOf(context), "trace 7");
  v1::GetJobRequest get;
  get.set_name("jobs/none");
  EXPECT_FALSE(Call(&Stub::GetJob, get, &job).ok());
  std::string response;
  EXPECT_TRUE(RawCall(channel_, "/grpc.health.v1.Health/Check", "", &response).ok());
  server_.reset();
  const std::vector<std::string> lines = log_.lines();
  ASSERT_EQ(lines.size(), 3u);
  EXPECT_THAT(lines[0], testing::MatchesRegex(
                            "info call method=CreateJob code=OK ms=[0-9]+ request_id=trace 7 "
                            "job=jobs/made client=ci peer=ipv4:127.0.0.1:[0-9]+ "
                            "trace_id=0af7651916cd43dd8448eb211c80319c "
                            "parent_id=b7ad6b7169203331"));
  EXPECT_THAT(lines[1], testing::MatchesRegex("info call method=GetJob code=NotFound ms=[0-9]+ "
                                              "request_id=[0-9a-f]{16} job=jobs/none client= "
                                              "peer=.+ trace_id= parent_id="));
  EXPECT_THAT(lines[2], testing::StartsWith("debug call method=Check code=OK"));
}

TEST_F(AccessLogTest, ATraceThatIsNoneIsNotInTheLogAndHurtsNobody) {
  for (const char* trace : {"", "00-0-0-01", "x job=jobs/forged"}) {
    grpc::ClientContext context;
    context.AddMetadata("traceparent", trace);
    v1::Capabilities capabilities;
    EXPECT_TRUE(stub_->GetCapabilities(&context, v1::GetCapabilitiesRequest(), &capabilities).ok());
  }
  server_.reset();
  EXPECT_THAT(log_.lines(), testing::Each(testing::EndsWith("trace_id= parent_id=")));
}

TEST_F(AccessLogTest, AStreamHasARequestIdTooAndIsOneLine) {
  PutJob("jobs/a", JobState::kSucceeded);
  grpc::ClientContext context;
  WatchWithoutEvents(stub_.get(), &context);
  const std::string id = RequestIdOf(context);
  EXPECT_EQ(id.size(), 16u);
  server_.reset();
  ASSERT_EQ(log_.lines().size(), 1u);
  EXPECT_THAT(log_.lines()[0], testing::HasSubstr("request_id=" + id + " job=jobs/a"));
}

TEST_F(AccessLogTest, ARequestIdThatCannotStandInALogIsReplaced) {
  for (const std::string& id : {std::string(129, 'x'), std::string()}) {
    grpc::ClientContext context;
    context.AddMetadata("x-request-id", id);
    v1::Capabilities capabilities;
    ASSERT_TRUE(stub_->GetCapabilities(&context, v1::GetCapabilitiesRequest(), &capabilities).ok());
    EXPECT_EQ(RequestIdOf(context).size(), 16u);
  }
}

TEST(AccessLog, AFaultOfTheServerIsAnErrorWithoutTheQueryOfAUri) {
  RecordingLog log;
  LoggedCalls calls(&log, nullptr);
  CallEnd end;
  end.code = "Internal";
  end.error =
      "reading s3://bucket/key?X-Signature=secret: no 'https://h/p?token=secret' for http://h";
  calls.CallEnded({"unary", "stockpot.v1.SoupService", "GetJob"}, end);
  EXPECT_THAT(log.lines(), testing::ElementsAre(testing::EndsWith(
                               "error=reading s3://bucket/key?… no 'https://h/p?…' for http://h")));
}

}  // namespace
}  // namespace stockpot
