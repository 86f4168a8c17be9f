// Workers on other machines, over real TLS: who is let in, and what is believed of what they say.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/control/rpc/server.h"
#include "server/control/rpc/worker_service.h"
#include "tests/server/control/rpc/rpc_fixture.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/fake_engine.h"
#include "tests/support/raw_call.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using grpc::StatusCode;
using testing::HasSubstr;
using worker::v1::ServerMessage;
using worker::v1::WorkerMessage;

// One Work stream of somebody who says so.
class Caller {
 public:
  Caller(const std::shared_ptr<grpc::Channel>& channel, const std::string& authorization)
      : stub_(worker::v1::WorkerService::NewStub(channel)) {
    if (!authorization.empty()) context_.AddMetadata("authorization", authorization);
    context_.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(20));
    stream_ = stub_->Work(&context_);
  }
  ~Caller() { context_.TryCancel(); }

  static WorkerMessage GoodHello() {
    WorkerMessage message;
    worker::v1::Hello& hello = *message.mutable_hello();
    hello.set_protocol_version(kWorkerProtocolVersion);
    hello.set_device_kind("cpu");
    hello.set_release("1.2.3");
    hello.set_data_folder("/data/stockpot");
    hello.set_folder_id("the folder's id");
    return message;
  }

  void Say(const WorkerMessage& message) { stream_->Write(message); }
  std::optional<ServerMessage> Hear() {
    ServerMessage message;
    if (!stream_->Read(&message)) return std::nullopt;
    return message;
  }
  grpc::Status End() {
    while (Hear().has_value()) continue;
    return stream_->Finish();
  }

 private:
  std::unique_ptr<worker::v1::WorkerService::Stub> stub_;
  grpc::ClientContext context_;
  std::unique_ptr<grpc::ClientReaderWriter<WorkerMessage, ServerMessage>> stream_;
};

class RemoteWorkersTest : public testing::Test {
 protected:
  RemoteWorkersTest() {
    access_ = *AccessFile::Open(
        Write("access",
              absl::StrCat("pool worker sha256:", Sha256Hex("pool"),
                           "\npool worker certificate:pool.example\n",
                           "pool worker sha256:", Sha256Hex("old"), " 2020-01-01T00:00:00Z\n",
                           "a viewer sha256:", Sha256Hex("viewer"), "\na submitter sha256:",
                           Sha256Hex("submitter"), "\n* admin sha256:", Sha256Hex("admin"),
                           "\na submitter certificate:client.a\n")),
        &clock_, log_.get());
    authorization_ = std::make_unique<Authorization>(access_.get(), &clock_, 0);
    RemoteAdmission::Options options;
    options.release = "1.2.3";
    options.data_folder = "/data/stockpot";
    options.folder_id = "the folder's id";
    admission_ = std::make_unique<RemoteAdmission>(options, authorization_.get());
    WorkerService::Options service;
    service.heartbeat = absl::Milliseconds(1500);
    service.max_streams = 3;
    service_ = std::make_unique<WorkerService>(service, admission_.get(), &engine_, log_.get());
    const PemPair pair = authority_.Sign("localhost");
    WorkerServer::RemoteOptions listener;
    listener.listen = "127.0.0.1:0";
    listener.tls.certificate = Write("server.pem", pair.certificate);
    listener.tls.key = Write("server.key", pair.key);
    listener.tls.client_ca = Write("clients.pem", clients_.certificate());
    listener.tls.client_certificate_optional = true;
    auto server =
        WorkerServer::StartRemote(listener, service_.get(), authorization_.get(), nullptr);
    EXPECT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  std::shared_ptr<grpc::Channel> Connect(const std::optional<PemPair>& certificate = {}) const {
    grpc::SslCredentialsOptions options;
    options.pem_root_certs = authority_.certificate();
    if (certificate.has_value()) {
      options.pem_cert_chain = certificate->certificate;
      options.pem_private_key = certificate->key;
    }
    return grpc::CreateChannel(server_->address(), grpc::SslCredentials(options));
  }

  const TemporaryFolder folder_;
  const TestAuthority authority_{"servers"}, clients_{"clients"};
  const std::unique_ptr<Log> log_ = Log::Silent();
  FakeClock clock_;
  FakeEngine engine_;
  std::unique_ptr<AccessFile> access_;
  std::unique_ptr<Authorization> authorization_;
  std::unique_ptr<RemoteAdmission> admission_;
  std::unique_ptr<WorkerService> service_;
  std::unique_ptr<WorkerServer> server_;
};

TEST_F(RemoteWorkersTest, OnlyTheRoleWorkerIsLetIn) {
  const struct {
    const char* shows;
    const char* certificate;
    StatusCode code;
    const char* reason;
  } cases[] = {
      {"", "", StatusCode::UNAUTHENTICATED, "CREDENTIALS_MISSING"},
      {"Bearer guess", "", StatusCode::UNAUTHENTICATED, "CREDENTIALS_INVALID"},
      {"Basic cG9vbA==", "", StatusCode::UNAUTHENTICATED, "CREDENTIALS_INVALID"},
      {"Bearer old", "", StatusCode::UNAUTHENTICATED, "CREDENTIALS_EXPIRED"},
      {"Bearer viewer", "", StatusCode::PERMISSION_DENIED, "ACCESS_DENIED"},
      {"Bearer submitter", "", StatusCode::PERMISSION_DENIED, "ACCESS_DENIED"},
      {"Bearer admin", "", StatusCode::PERMISSION_DENIED, "ACCESS_DENIED"},
      {"", "client.a", StatusCode::PERMISSION_DENIED, "ACCESS_DENIED"},
      {"", "client.x", StatusCode::UNAUTHENTICATED, "CREDENTIALS_INVALID"},
      {"Bearer pool", "", StatusCode::OK, ""},
      {"", "pool.example", StatusCode::OK, ""},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(absl::StrCat(each.shows, " ", each.certificate));
    std::optional<PemPair> certificate;
    if (*each.certificate != '\0') certificate = clients_.Sign(each.certificate);
    Caller caller(Connect(certificate), each.shows);
    caller.Say(Caller::GoodHello());
    const bool welcome = caller.Hear().has_value();
    EXPECT_EQ(welcome, each.code == StatusCode::OK);
    if (welcome) continue;
    const grpc::Status status = caller.End();
    EXPECT_EQ(status.error_code(), each.code) << status.error_message();
    EXPECT_EQ(ClientError(status).info.reason(), each.reason);
  }
}

TEST_F(RemoteWorkersTest, EachIsGivenAnIdOfItsOwnAndTheHeartbeat) {
  Caller first(Connect(), "Bearer pool"), second(Connect(), "Bearer pool");
  first.Say(Caller::GoodHello());
  const ServerMessage welcome = first.Hear().value();
  EXPECT_EQ(welcome.welcome().heartbeat_seconds(), 1.5);
  EXPECT_EQ(engine_.WaitForWorkerCall(0).worker, welcome.welcome().worker_id());
  second.Say(Caller::GoodHello());
  EXPECT_NE(second.Hear().value().welcome().worker_id(), welcome.welcome().worker_id());
}

TEST_F(RemoteWorkersTest, WhatDoesNotFitIsRefusedWithTheReason) {
  const std::string much(1 << 20, 'x');
  const struct {
    std::function<void(worker::v1::Hello*)> change;
    const char *reason, *words;
  } cases[] = {
      {[](auto* hello) { hello->set_protocol_version(2); }, "OTHER_PROTOCOL_VERSION",
       "protocol version 2, this server 1"},
      {[](auto* hello) { hello->set_release("1.2.4"); }, "OTHER_RELEASE",
       "of release '1.2.4', this server of '1.2.3'"},
      {[](auto* hello) { hello->clear_release(); }, "OTHER_RELEASE", "of release ''"},
      {[&](auto* hello) { hello->set_release(much); }, "OTHER_RELEASE", "…'"},
      {[](auto* hello) { hello->set_folder_id("another"); }, "OTHER_DATA_FOLDER", "does not see"},
      {[](auto* hello) { hello->clear_folder_id(); }, "OTHER_DATA_FOLDER", "does not see"},
      {[](auto* hello) { hello->set_data_folder("/mnt/data"); }, "OTHER_DATA_FOLDER",
       "at '/mnt/data', the server at '/data/stockpot'"},
      {[](auto* hello) { hello->set_worker_id("mine"); }, "", "given its id"},
  };
  for (const auto& each : cases) {
    SCOPED_TRACE(each.words);
    Caller caller(Connect(), "Bearer pool");
    WorkerMessage hello = Caller::GoodHello();
    each.change(hello.mutable_hello());
    caller.Say(hello);
    const grpc::Status status = caller.End();
    EXPECT_THAT(status.error_message(), HasSubstr(each.words));
    EXPECT_EQ(ClientError(status).info.reason(), each.reason);
    EXPECT_LT(status.error_message().size(), 1000u);
  }
}

TEST_F(RemoteWorkersTest, MessagesOutOfOrderEndTheStream) {
  WorkerMessage early, long_id, long_result;
  early.set_leaving(true);
  long_id.mutable_progress()->set_assignment_id(std::string(1000, 'x'));
  long_result.mutable_result()->set_assignment_id(std::string(1000, 'x'));
  const std::vector<std::vector<WorkerMessage>> cases = {
      {early},
      {Caller::GoodHello(), Caller::GoodHello()},
      {Caller::GoodHello(), long_id},
      {Caller::GoodHello(), long_result},
  };
  for (const std::vector<WorkerMessage>& messages : cases) {
    Caller caller(Connect(), "Bearer pool");
    for (const WorkerMessage& message : messages) caller.Say(message);
    const grpc::Status status = caller.End();
    EXPECT_EQ(status.error_code(), StatusCode::FAILED_PRECONDITION) << status.error_message();
  }
}

TEST_F(RemoteWorkersTest, OneThatLeavesIsToldToTheEngine) {
  Caller caller(Connect(), "Bearer pool");
  caller.Say(Caller::GoodHello());
  WorkerMessage leaving;
  leaving.set_leaving(true);
  caller.Say(leaving);
  EXPECT_EQ(engine_.WaitForWorkerCall(1).what, "leaving");
}

TEST_F(RemoteWorkersTest, ThereAreNoMoreThanMayBe) {
  std::vector<std::unique_ptr<Caller>> workers;
  for (size_t i = 0; i < 3; ++i) {
    workers.push_back(std::make_unique<Caller>(Connect(), "Bearer pool"));
    workers.back()->Say(Caller::GoodHello());
    EXPECT_TRUE(workers.back()->Hear().has_value());
  }
  Caller one_more(Connect(), "Bearer pool");
  EXPECT_EQ(one_more.End().error_code(), StatusCode::RESOURCE_EXHAUSTED);
}

TEST_F(RemoteWorkersTest, NothingElseIsServed) {
  std::string response;
  const std::string list_services("\x3a\x00", 2);
  for (const char* token : {"Bearer pool", "Bearer admin"}) {
    for (const char* method :
         {"/stockpot.v1.SoupService/GetCapabilities", "/grpc.health.v1.Health/Check",
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"}) {
      EXPECT_FALSE(RawCall(Connect(), method, list_services, &response, token).ok()) << method;
    }
  }
  EXPECT_EQ(response, "");
}

}  // namespace
}  // namespace stockpot
