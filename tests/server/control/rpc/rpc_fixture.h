// A real gRPC server on a free port with a fake engine behind it, and a client of it.
// Thread safety: as its members.
#ifndef STOCKPOT_TESTS_SERVER_CONTROL_RPC_RPC_FIXTURE_H_
#define STOCKPOT_TESTS_SERVER_CONTROL_RPC_RPC_FIXTURE_H_

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "server/control/rpc/server.h"
#include "server/control/rpc/soup_service.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/fakes/fake_engine.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

// What a client can read from an error.
struct ClientError {
  explicit ClientError(const grpc::Status& status) {
    EXPECT_TRUE(rpc.ParseFromString(status.error_details()));
    for (const google::protobuf::Any& detail : rpc.details()) {
      detail.UnpackTo(&info) || detail.UnpackTo(&bad_request) || detail.UnpackTo(&retry);
    }
  }
  std::vector<std::string> fields() const {
    std::vector<std::string> fields;
    for (const auto& violation : bad_request.field_violations()) {
      fields.push_back(violation.field());
    }
    return fields;
  }
  google::rpc::Status rpc;
  google::rpc::ErrorInfo info;
  google::rpc::BadRequest bad_request;
  google::rpc::RetryInfo retry;
};

// A request that is fine: one architecture, two ingredients, a held-out set.
inline v1::CreateJobRequest GoodRequest() {
  v1::CreateJobRequest request;
  v1::JobSpec& spec = *request.mutable_job()->mutable_spec();
  spec.mutable_model()->set_architecture_uri("/arch/model.pt");
  spec.add_ingredients()->set_uri("/data/a.safetensors");
  spec.add_ingredients()->set_uri("/data/b.safetensors");
  spec.mutable_evaluation()->mutable_held_out()->set_uri("/data/held_out");
  return request;
}

class RpcTest : public ::testing::Test {
 protected:
  static constexpr int kMaxRequestBytes = 1 << 20;

  RpcTest()
      : allowed_(*AllowList::Create({"/data", folder_.path()}, {"/arch", folder_.path()},
                                    {"/out", folder_ / "out"}, {}, {"s3://soups/"})),
        service_(Options(), &engine_, &allowed_, &clock_) {
    StartServer(&service_, nullptr);
  }

  void StartServer(SoupService* service, CallObserver* observer) {
    server_.reset();
    PublicServer::Options options;
    options.listen = "127.0.0.1:0";
    options.tick = absl::InfiniteDuration();  // tests tick by themselves
    options.max_message_bytes = kMaxRequestBytes;
    auto server = PublicServer::Start(options, service, observer);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    channel_ = grpc::CreateChannel(server_->address(), grpc::InsecureChannelCredentials());
    stub_ = v1::SoupService::NewStub(channel_);
  }

  static SoupService::Options Options() {
    SoupService::Options options;
    options.version = "1.2.3";
    options.limits.max_unfinished_jobs_of_client = 7;
    options.limits.max_artifact_bytes = int64_t{1} << 40;
    options.max_request_bytes = kMaxRequestBytes;
    return options;
  }

  // Calls a unary method.
  template <typename Request, typename Response>
  grpc::Status Call(grpc::Status (v1::SoupService::Stub::*method)(grpc::ClientContext*,
                                                                  const Request&, Response*),
                    const Request& request, Response* response) {
    grpc::ClientContext context;
    return (stub_.get()->*method)(&context, request, response);
  }

  JobRecord PutJob(const std::string& name, JobState state = JobState::kRunning) {
    JobRecord record;
    record.name = name;
    record.spec = R"({"model":{"architecture_uri":"/arch/model.pt"}})";
    record.state = state;
    record.create_time = absl::FromUnixSeconds(1'600'000'000);
    engine_.PutJob(record);
    return record;
  }

  TemporaryFolder folder_;  // allowed, as /data, /arch and /out are, which are not there
  FakeEngine engine_;
  FakeClock clock_;
  AllowList allowed_;
  SoupService service_;
  std::unique_ptr<PublicServer> server_;
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::SoupService::Stub> stub_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_CONTROL_RPC_RPC_FIXTURE_H_
