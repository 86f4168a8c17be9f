// Who may do what, over real TLS and mutual TLS.
#include "server/control/rpc/authorization.h"

#include <gmock/gmock.h>

#include <fstream>
#include <functional>
#include <optional>

#include "server/base/digest.h"
#include "tests/server/control/rpc/rpc_fixture.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/raw_call.h"

namespace stockpot {
namespace {

using grpc::StatusCode;

class Audit final : public CallObserver {
 public:
  void CallStarted(const CallName&) override {}
  void CallEnded(const CallName& call, const CallEnd& end) override {
    absl::MutexLock lock(&mutex_);
    lines_.push_back(
        absl::StrCat(call.method, " ", end.code, " client=", end.client, " ", end.job));
  }
  std::vector<std::string> lines() const {
    absl::MutexLock lock(&mutex_);
    return lines_;
  }

 private:
  mutable absl::Mutex mutex_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class AuthorizationTest : public testing::Test {
 protected:
  AuthorizationTest() : allowed_(*AllowList::Create({"/data"}, {"/arch"})) {
    std::string lines;
    const auto line = [&](const std::string& who, const std::string& token,
                          const std::string& until = "") {
      lines += who + " sha256:" + Sha256Hex(token) + " " + until + "\n";
    };
    line("a viewer", "a-viewer");
    line("a submitter", "a-submitter");
    line("a submitter", "a-old", "2020-01-01T00:00:00Z");
    line("b submitter", "b-submitter");
    line("* viewer", "all-viewer");
    line("* admin", "admin");
    line("pool worker", "pool");
    lines += "a submitter certificate:client.a\n";
    Write("access", lines);
    access_ = *AccessFile::Open(folder_ / "access", &clock_, log_.get());
    service_ = std::make_unique<SoupService>(SoupService::Options(), &engine_, &allowed_, &clock_,
                                             access_.get());
    PutJobOfA();
  }

  void PutJobOfA() {
    JobRecord job;
    job.name = "jobs/of-a";
    job.client = "a";
    job.spec = R"({"model":{"architecture_uri":"/arch/model.pt"}})";
    job.state = JobState::kRunning;
    engine_.PutJob(job);
  }

  std::string Write(const std::string& name, const std::string& text) {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  // mutual: nobody, those who want to, or everybody shows a certificate.
  enum class Mutual { kNo, kOptional, kYes };
  void Start(Mutual mutual) {
    const PemPair server = authority_.Sign("localhost");
    PublicServer::Options options;
    options.listen = "127.0.0.1:0";
    options.look_at_certificates = absl::Seconds(1);
    options.tls.certificate = Write("server.pem", server.certificate);
    options.tls.key = Write("server.key", server.key);
    if (mutual != Mutual::kNo) {
      options.tls.client_ca = Write("clients.pem", client_authority_.certificate());
      options.tls.client_certificate_optional = mutual == Mutual::kOptional;
    }
    auto started = PublicServer::Start(options, service_.get(), &audit_);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    server_->SetServing(true);
  }

  std::shared_ptr<grpc::Channel> Connect(const std::optional<PemPair>& certificate = {}) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority_.certificate();
    if (certificate.has_value()) {
      options.pem_cert_chain = certificate->certificate;
      options.pem_private_key = certificate->key;
    }
    return grpc::CreateChannel(server_->address(), grpc::SslCredentials(options));
  }

  static std::unique_ptr<grpc::ClientContext> ContextWith(const std::string& authorization) {
    auto context = std::make_unique<grpc::ClientContext>();
    if (!authorization.empty()) context->AddMetadata("authorization", authorization);
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    return context;
  }

  struct Method {
    const char* name;
    bool changes;       // needs a submitter
    bool is_about_job;  // of client a
    std::function<grpc::Status(v1::SoupService::Stub&, grpc::ClientContext*)> call;
  };

  template <typename Request, typename Response>
  static auto Unary(grpc::Status (v1::SoupService::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                    Request request) {
    return [=](v1::SoupService::Stub& stub, grpc::ClientContext* context) {
      Response response;
      return (stub.*method)(context, request, &response);
    };
  }
  template <typename Request>
  static Request Named(const std::string& name = "jobs/of-a") {
    Request request;
    request.set_name(name);
    return request;
  }

  static std::vector<Method> Methods() {
    using Stub = v1::SoupService::Stub;
    v1::CreateJobRequest create = GoodRequest();
    v1::DownloadArtifactRequest download = Named<v1::DownloadArtifactRequest>();
    download.set_file("absent");
    return {
        {"GetJob", false, true, Unary(&Stub::GetJob, Named<v1::GetJobRequest>())},
        {"ListJobs", false, false, Unary(&Stub::ListJobs, v1::ListJobsRequest())},
        {"GetCapabilities", false, false,
         Unary(&Stub::GetCapabilities, v1::GetCapabilitiesRequest())},
        {"WatchJob", false, true,
         [](Stub& stub, grpc::ClientContext* context) {
           auto request = Named<v1::WatchJobRequest>();
           request.set_after_sequence(1000);  // OUT_OF_RANGE: who may watch need not wait
           auto reader = stub.WatchJob(context, request);
           v1::JobEvent event;
           reader->Read(&event);
           return reader->Finish();
         }},
        {"DownloadArtifact", false, true,
         [download](Stub& stub, grpc::ClientContext* context) {
           auto reader = stub.DownloadArtifact(context, download);
           v1::ArtifactChunk chunk;
           reader->Read(&chunk);
           return reader->Finish();
         }},
        {"CreateJob", true, false, Unary(&Stub::CreateJob, create)},
        {"InspectSource", true, false, Unary(&Stub::InspectSource, v1::InspectSourceRequest())},
        {"VerifySoup", true, true, Unary(&Stub::VerifySoup, Named<v1::VerifySoupRequest>())},
        {"RetryJob", true, true, Unary(&Stub::RetryJob, Named<v1::RetryJobRequest>())},
        {"CancelJob", true, true, Unary(&Stub::CancelJob, Named<v1::CancelJobRequest>())},
        {"DeleteJob", true, true, Unary(&Stub::DeleteJob, Named<v1::DeleteJobRequest>())},
    };
  }

  const TemporaryFolder folder_;
  const TestAuthority authority_{"servers"}, client_authority_{"clients"};
  const std::unique_ptr<Log> log_ = Log::ToStandardError("test", false);
  FakeEngine engine_;
  FakeClock clock_;
  AllowList allowed_;
  std::unique_ptr<AccessFile> access_;
  std::unique_ptr<SoupService> service_;
  Audit audit_;
  std::unique_ptr<PublicServer> server_;
};

constexpr bool Refused(StatusCode code) {
  return code == StatusCode::UNAUTHENTICATED || code == StatusCode::PERMISSION_DENIED;
}

TEST_F(AuthorizationTest, WhoMayDoWhat) {
  Start(Mutual::kOptional);
  enum class Sees { kA, kOthers, kAll };
  const struct {
    const char *name, *shows;
    std::optional<std::string> certificate;
    const char* refused;  // the reason of every call; "": it is known
    bool changes;
    Sees sees;
  } callers[] = {
      {"nobody", "", {}, "CREDENTIALS_MISSING", false, Sees::kOthers},
      {"a wrong token", "Bearer guess", {}, "CREDENTIALS_INVALID", false, Sees::kOthers},
      {"another scheme", "Basic YTph", {}, "CREDENTIALS_INVALID", false, Sees::kOthers},
      {"an old token", "Bearer a-old", {}, "CREDENTIALS_EXPIRED", false, Sees::kOthers},
      {"a viewer", "Bearer a-viewer", {}, "", false, Sees::kA},
      {"a submitter", "Bearer a-submitter", {}, "", true, Sees::kA},
      {"another client", "Bearer b-submitter", {}, "", true, Sees::kOthers},
      {"a viewer of all", "Bearer all-viewer", {}, "", false, Sees::kAll},
      {"an admin", "Bearer admin", {}, "", true, Sees::kAll},
      {"a known certificate", "", "client.a", "", true, Sees::kA},
      {"an unknown certificate", "", "client.x", "CREDENTIALS_INVALID", false, Sees::kOthers},
      {"a token beside a certificate", "Bearer b-submitter", "client.a", "", true, Sees::kOthers},
  };
  for (const auto& caller : callers) {
    std::optional<PemPair> certificate;
    if (caller.certificate.has_value()) certificate = client_authority_.Sign(*caller.certificate);
    const auto stub = v1::SoupService::NewStub(Connect(certificate));
    for (const Method& method : Methods()) {
      SCOPED_TRACE(std::string(caller.name) + " calls " + method.name);
      PutJobOfA();  // who may delete it did
      const auto context = ContextWith(caller.shows);
      const grpc::Status status = method.call(*stub, context.get());
      if (*caller.refused != '\0') {
        EXPECT_EQ(status.error_code(), StatusCode::UNAUTHENTICATED) << status.error_message();
        EXPECT_EQ(ClientError(status).info.reason(), caller.refused);
        continue;
      }
      const bool may = (caller.changes || !method.changes) &&
                       (!method.is_about_job || caller.sees != Sees::kOthers);
      EXPECT_EQ(Refused(status.error_code()), !may) << status.error_message();
      if (may) continue;
      EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << status.error_message();
      EXPECT_EQ(ClientError(status).info.reason(), "ACCESS_DENIED");
    }
  }
}

TEST_F(AuthorizationTest, AWorkerMayDoNothingHere) {
  Start(Mutual::kNo);
  const auto stub = v1::SoupService::NewStub(Connect());
  for (const Method& method : Methods()) {
    const auto context = ContextWith("Bearer pool");
    const grpc::Status status = method.call(*stub, context.get());
    EXPECT_EQ(status.error_code(), StatusCode::PERMISSION_DENIED) << method.name;
    EXPECT_EQ(ClientError(status).info.reason(), "ACCESS_DENIED") << method.name;
  }
  std::string response;
  EXPECT_FALSE(RawCall(Connect(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                       std::string("\x3a\x00", 2), &response, "Bearer pool")
                   .ok());
  EXPECT_EQ(response, "");
}

TEST_F(AuthorizationTest, WhatIsNotThereAndWhatIsOthersLookTheSame) {
  Start(Mutual::kNo);
  const auto stub = v1::SoupService::NewStub(Connect());
  const auto get = [&](const std::string& token, const std::string& name) {
    const auto context = ContextWith("Bearer " + token);
    v1::Job job;
    return stub->GetJob(context.get(), Named<v1::GetJobRequest>(name), &job);
  };
  const grpc::Status others = get("b-submitter", "jobs/of-a");
  const grpc::Status absent = get("b-submitter", "jobs/absent");
  EXPECT_EQ(others.error_code(), absent.error_code());
  EXPECT_EQ(absl::StrCat(others.error_message(), " jobs/absent"),
            absl::StrCat("jobs/of-a", absent.error_message().substr(11), " jobs/absent"));
  EXPECT_EQ(get("admin", "jobs/absent").error_code(), StatusCode::NOT_FOUND);
}

TEST_F(AuthorizationTest, JobsAreMadeAndListedUnderTheCallersName) {
  Start(Mutual::kNo);
  const auto stub = v1::SoupService::NewStub(Connect());
  const auto create = [&](const std::string& token) {
    const auto context = ContextWith("Bearer " + token);
    context->AddMetadata("stockpot-client", "pretender");
    v1::Job job;
    const grpc::Status status = stub->CreateJob(context.get(), GoodRequest(), &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job.client();
  };
  EXPECT_EQ(create("b-submitter"), "b");
  EXPECT_EQ(create("admin"), "pretender") << "an admin without a name acts for others";
  const auto listed = [&](const std::string& token) {
    const auto context = ContextWith("Bearer " + token);
    v1::ListJobsResponse response;
    EXPECT_TRUE(stub->ListJobs(context.get(), v1::ListJobsRequest(), &response).ok());
    std::vector<std::string> clients;
    for (const v1::Job& job : response.jobs()) clients.push_back(job.client());
    return clients;
  };
  EXPECT_THAT(listed("a-viewer"), testing::ElementsAre("a"));
  EXPECT_THAT(listed("b-submitter"), testing::ElementsAre("b"));
  EXPECT_THAT(listed("all-viewer"), testing::UnorderedElementsAre("a", "b", "pretender"));
}

TEST_F(AuthorizationTest, HealthAsksNobodyAndReflectionDoes) {
  Start(Mutual::kNo);
  const auto channel = Connect();
  std::string response;
  EXPECT_TRUE(RawCall(channel, "/grpc.health.v1.Health/Check", "", &response).ok());
  const std::string list_services("\x3a\x00", 2);
  constexpr char kReflection[] = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo";
  response.clear();
  EXPECT_FALSE(RawCall(channel, kReflection, list_services, &response).ok());
  EXPECT_FALSE(RawCall(channel, kReflection, list_services, &response, "Bearer guess").ok());
  EXPECT_FALSE(RawCall(channel, kReflection, list_services, &response, "Bearer a-old").ok());
  EXPECT_EQ(response, "");
  EXPECT_TRUE(RawCall(channel, kReflection, list_services, &response, "Bearer a-viewer").ok());
  EXPECT_THAT(response, testing::HasSubstr("stockpot.v1.SoupService"));
}

TEST_F(AuthorizationTest, ReflectionCountsAsACall) {
  SoupService::Options options;
  options.calls_per_second = 0.2;  // two at once
  service_ = std::make_unique<SoupService>(options, &engine_, &allowed_, &clock_, access_.get());
  Start(Mutual::kNo);
  const auto channel = Connect();
  std::string response;
  const auto reflects = [&](const char* shows) {
    return RawCall(channel, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                   std::string("\x3a\x00", 2), &response, shows)
        .ok();
  };
  EXPECT_TRUE(reflects("Bearer a-viewer"));
  EXPECT_TRUE(reflects("Bearer a-viewer"));
  EXPECT_FALSE(reflects("Bearer a-viewer"));
  EXPECT_TRUE(reflects("Bearer b-submitter")) << "each client has its own";
}

// Who tried what with which outcome, also of those who were refused.
TEST_F(AuthorizationTest, TheAuditLogNamesWhoWasRefusedWhat) {
  Start(Mutual::kNo);
  const auto stub = v1::SoupService::NewStub(Connect());
  for (const char* shows : {"", "Bearer guess", "Bearer a-old", "Bearer b-submitter",
                            "Bearer a-viewer", "Bearer admin"}) {
    const auto context = ContextWith(shows);
    v1::Job job;
    stub->CancelJob(context.get(), Named<v1::CancelJobRequest>(), &job);
  }
  std::string response;
  const std::string list_services("\x3a\x00", 2);
  RawCall(Connect(), "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          list_services, &response);
  server_.reset();
  EXPECT_THAT(audit_.lines(),
              testing::ElementsAre("CancelJob Unauthenticated client= jobs/of-a",
                                   "CancelJob Unauthenticated client= jobs/of-a",
                                   "CancelJob Unauthenticated client= jobs/of-a",
                                   "CancelJob PermissionDenied client=b jobs/of-a",
                                   "CancelJob PermissionDenied client=a jobs/of-a",
                                   "CancelJob OK client=* jobs/of-a",
                                   "ServerReflectionInfo Unauthenticated client= "));
}

TEST_F(AuthorizationTest, MutualTlsLetsNobodyInWithoutACertificate) {
  Start(Mutual::kYes);
  const auto call = [&](const std::optional<PemPair>& certificate) {
    const auto stub = v1::SoupService::NewStub(Connect(certificate));
    const auto context = ContextWith("");
    v1::Capabilities capabilities;
    return stub->GetCapabilities(context.get(), {}, &capabilities).error_code();
  };
  EXPECT_EQ(call(client_authority_.Sign("client.a")), StatusCode::OK);
  EXPECT_EQ(call({}), StatusCode::UNAVAILABLE);
  EXPECT_EQ(call(authority_.Sign("client.a")), StatusCode::UNAVAILABLE) << "of another authority";
  EXPECT_EQ(call(client_authority_.Sign("client.a", -1)), StatusCode::UNAVAILABLE) << "expired";
  // Who knows nothing of TLS gets nothing.
  const auto plain = v1::SoupService::NewStub(
      grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials()));
  const auto context = ContextWith("Bearer admin");
  v1::Capabilities capabilities;
  EXPECT_EQ(plain->GetCapabilities(context.get(), {}, &capabilities).error_code(),
            StatusCode::UNAVAILABLE);
}

TEST_F(AuthorizationTest, ARenewedCertificateIsTakenWithoutARestart) {
  Start(Mutual::kNo);
  const auto works_with = [&](const std::string& roots) {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = roots;
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);  // a connection of its own
    const auto channel =
        grpc::CreateCustomChannel(server_->address(), grpc::SslCredentials(options), arguments);
    std::string response;
    return RawCall(channel, "/grpc.health.v1.Health/Check", "", &response).ok();
  };
  const TestAuthority next("next");
  EXPECT_TRUE(works_with(authority_.certificate()));
  EXPECT_FALSE(works_with(next.certificate()));
  const PemPair renewed = next.Sign("localhost");
  Write("server.pem", renewed.certificate);
  Write("server.key", renewed.key);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  bool taken = false;
  while (!taken && std::chrono::steady_clock::now() < deadline) {
    absl::SleepFor(absl::Milliseconds(500));
    taken = works_with(next.certificate());
  }
  EXPECT_TRUE(taken);
}

TEST(HealthServerTest, SaysHealthAndNothingElse) {
  auto server = HealthServer::Start("127.0.0.1:0");
  ASSERT_TRUE(server.ok()) << server.status();
  const auto channel =
      grpc::CreateChannel((*server)->address(), grpc::InsecureChannelCredentials());
  const auto health = [&] {
    std::string response;
    EXPECT_TRUE(RawCall(channel, "/grpc.health.v1.Health/Check", "", &response).ok());
    return response;
  };
  EXPECT_EQ(health(), "\x08\x02");
  (*server)->SetServing(true);
  EXPECT_EQ(health(), "\x08\x01");
  std::string response;
  EXPECT_EQ(
      RawCall(channel, "/stockpot.v1.SoupService/GetCapabilities", "", &response).error_code(),
      StatusCode::UNIMPLEMENTED);
}

}  // namespace
}  // namespace stockpot
