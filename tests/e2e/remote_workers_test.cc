// Workers that the server did not start: over TLS with tokens, as they come, go, hang and are
// refused.
#include <gmock/gmock.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "stockpot/worker/v1/worker_service.grpc.pb.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/eventually.h"
#include "tests/support/http_fetch.h"
#include "tests/support/server_process/server_log.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using Flags = std::vector<std::string>;

std::string ReadAll(const std::string& path) {
  std::ostringstream text;
  text << std::ifstream(path).rdbuf();
  return text.str();
}

// Batches of one example through a slow model: a pass takes about a second.
v1::JobSpec SlowJob(const TinySweep& sweep) {
  v1::JobSpec spec = sweep.Spec("slow.pt");
  spec.mutable_compute()->set_batch_size(1);
  return spec;
}

// What local workers make of a job: remote ones must give the same, byte for byte.
std::string ResultOfLocalWorkers(const v1::JobSpec& spec) {
  ServerProcess server({});
  const v1::Job job = server.Run(spec);
  EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  return job.report().result().SerializeAsString();
}

// A server without workers of its own, and what is needed to become one of its.
class RemoteWorkers : public testing::Test {
 protected:
  RemoteWorkers() { StartServer(); }

  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  void StartServer() {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = authority_.certificate();
    const auto credentials = grpc::CompositeChannelCredentials(
        grpc::SslCredentials(tls), grpc::AccessTokenCredentials("token-of-a"));
    server_ = std::make_unique<ServerProcess>(ServerProcess::Options{
        .workers = 0,
        .data_folder = folder_ / "data",
        .metrics_listen = absl::StrCat("127.0.0.1:", metrics_port_),
        .flags = {"--worker_listen=" + worker_address_, "--worker_lease=3s", "--drain_timeout=0s",
                  "--tls_certificate_file=" + certificate_, "--tls_key_file=" + key_,
                  "--access_file=" + access_},
        .log_file = folder_ / "server.log",
        .credentials = credentials});
  }

  // With the right credentials, but for what `flags` say again.
  Flags WorkerCommand(const Flags& flags = {}) const {
    Flags arguments = CommandWithoutToken();
    arguments.push_back("--token_file=" + token_);
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    return arguments;
  }
  Flags CommandWithoutToken() const {
    return {ProgramPath("stockpot-worker"),
            "--server=" + worker_address_,
            "--ca_file=" + ca_,
            "--device=cpu",
            "--threads=1",
            "--data_folder=" + data_,
            "--allowed_root=/",
            "--allowed_architecture_prefix=/"};
  }
  // Connected.
  std::unique_ptr<BackgroundProgram> StartWorker(const std::string& name, const Flags& flags = {}) {
    const std::string ready = folder_ / (name + ".ready");
    Flags more = flags;
    more.push_back("--ready_file=" + ready);
    auto worker = std::make_unique<BackgroundProgram>(WorkerCommand(more), LogOf(name));
    EXPECT_TRUE(Eventually([&] { return std::filesystem::exists(ready); })) << ReadAll(LogOf(name));
    return worker;
  }
  std::string LogOf(const std::string& name) const { return folder_ / (name + ".log"); }

  std::string CreateSlowJob() {
    grpc::ClientContext context;
    v1::CreateJobRequest request;
    *request.mutable_job()->mutable_spec() = SlowJob(sweep_);
    v1::Job job;
    const grpc::Status status = server_->stub().CreateJob(&context, request, &job);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return job.name();
  }

  std::vector<LogLine> ServerLines(const std::string& event) const {
    std::vector<LogLine> lines;
    for (LogLine& line : ReadServerLog(folder_ / "server.log")) {
      if (line.event == event) lines.push_back(std::move(line));
    }
    return lines;
  }
  bool WaitForLines(const std::string& event, size_t count) const {
    return Eventually([&] { return ServerLines(event).size() >= count; });
  }
  // Until so many workers have a task, and one of them measures.
  void WaitUntilMeasuring(const std::string& name, size_t workers) {
    EXPECT_TRUE(Eventually([&] { return Busy() >= workers; }));
    grpc::ClientContext context;
    v1::WatchJobRequest request;
    request.set_name(name);
    auto reader = server_->stub().WatchJob(&context, request);
    v1::JobEvent event;
    while (reader->Read(&event) && event.progress().examples_done() == 0) continue;
    context.TryCancel();
  }
  size_t Busy() const {
    const std::string metrics = HttpFetch(metrics_port_, "/metrics");
    const std::string name = "stockpot_workers{place=\"remote\",state=\"busy\"} ";
    const size_t at = metrics.find(name);
    return at == std::string::npos ? 0 : std::stoul(metrics.substr(at + name.size()));
  }

  // The job's end, and that nothing was lost, done twice or different.
  v1::Job ExpectSameAsLocal(const std::string& name) {
    std::vector<v1::JobEvent> events;
    v1::Job job = server_->Follow(name, &events);
    EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    for (size_t i = 0; i < events.size(); ++i) {
      EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i + 1)) << "every event exactly once";
    }
    EXPECT_EQ(job.report().result().SerializeAsString(), ResultOfLocalWorkers(SlowJob(sweep_)));
    EXPECT_THAT(TasksGivenAfterTheirEnd(ReadServerLog(folder_ / "server.log")), testing::IsEmpty());
    return job;
  }

  // Work enough for what happens in its middle.
  const TinySweep sweep_{40, /*ingredients=*/5};
  const TemporaryFolder folder_;
  const TestAuthority authority_{"authority"}, stranger_{"stranger"};
  const PemPair pair_ = authority_.Sign("localhost");
  const std::string certificate_ = Write("server.pem", pair_.certificate);
  const std::string key_ = Write("server.key", pair_.key);
  const std::string ca_ = Write("ca.pem", authority_.certificate());
  const std::string access_ =
      Write("access", absl::StrCat("a submitter sha256:", Sha256Hex("token-of-a"),
                                   "\npool worker sha256:", Sha256Hex("token-of-pool"), "\n"));
  const std::string token_ = Write("token", "token-of-pool\n");
  const std::string data_ = folder_ / "data";
  const int metrics_port_ = FreePort();
  const std::string worker_address_ = absl::StrCat("127.0.0.1:", FreePort());
  std::unique_ptr<ServerProcess> server_;
};

TEST_F(RemoteWorkers, AJobWaitsForThemAndGivesWhatLocalOnesGive) {
  const std::string name = CreateSlowJob();
  EXPECT_EQ(ServerLines("no_worker_here").size(), 1u);
  const auto first = StartWorker("first"), second = StartWorker("second");
  const v1::Job job = ExpectSameAsLocal(name);
  EXPECT_EQ(job.report().cost().failed_attempts(), 0);
  for (const LogLine& line : ServerLines("worker_connected")) {
    EXPECT_EQ(line.fields.at("place"), "remote");
  }
  EXPECT_EQ(ServerLines("worker_dialled").back().fields.at("client"), "pool");
  EXPECT_TRUE(
      std::filesystem::exists(data_ + "/artifacts/" + name.substr(5) + "/soup.safetensors"));
}

TEST_F(RemoteWorkers, OneThatIsKilledAndOneThatHangsLoseNothing) {
  auto killed = StartWorker("killed");
  const auto hung = StartWorker("hung");
  const std::string name = CreateSlowJob();
  WaitUntilMeasuring(name, 2);
  killed->Signal(SIGKILL);
  ASSERT_TRUE(WaitForLines("worker_lost", 1));
  killed = StartWorker("killed");
  hung->Signal(SIGSTOP);
  ASSERT_TRUE(WaitForLines("worker_hung", 1));
  hung->Signal(SIGCONT);
  const v1::Job job = ExpectSameAsLocal(name);
  EXPECT_GE(job.report().cost().failed_attempts(), 1);
  // It dialled again, as another.
  EXPECT_TRUE(WaitForLines("worker_connected", 4));
}

TEST_F(RemoteWorkers, OneThatIsStoppedHandsItsTaskBack) {
  const auto stopped = StartWorker("stopped", {"--drain_timeout=0s"});
  const std::string name = CreateSlowJob();
  WaitUntilMeasuring(name, 1);
  stopped->Signal(SIGTERM);
  EXPECT_EQ(stopped->Wait(), 0) << ReadAll(LogOf("stopped"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "stopped.ready"));
  EXPECT_EQ(ServerLines("worker_leaving").size(), 1u);
  const auto other = StartWorker("other");
  EXPECT_EQ(ExpectSameAsLocal(name).report().cost().failed_attempts(), 0)
      << "that says nothing of the task";
}

TEST_F(RemoteWorkers, OneThatIsStoppedFinishesItsTaskWhereThereIsTime) {
  const auto stopped = StartWorker("stopped", {"--drain_timeout=60s"});
  const std::string name = CreateSlowJob();
  WaitUntilMeasuring(name, 1);
  const size_t stored = ServerLines("task_stored").size();
  stopped->Signal(SIGTERM);
  EXPECT_EQ(stopped->Wait(), 0) << ReadAll(LogOf("stopped"));
  EXPECT_TRUE(WaitForLines("task_stored", stored + 1));
  EXPECT_EQ(server_->Terminate(), 0);
}

TEST_F(RemoteWorkers, ComeBackToAServerThatWasStoppedAndOneThatWasKilled) {
  const auto first = StartWorker("first"), second = StartWorker("second");
  const std::string name = CreateSlowJob();
  WaitUntilMeasuring(name, 2);
  EXPECT_EQ(server_->Terminate(), 0);
  StartServer();
  ASSERT_TRUE(WaitForLines("worker_connected", 4));
  WaitUntilMeasuring(name, 1);
  server_->Kill();
  StartServer();
  ASSERT_TRUE(WaitForLines("worker_connected", 6));
  EXPECT_EQ(ExpectSameAsLocal(name).report().cost().failed_attempts(), 0);
}

// An idle one has no lease, so this is what TCP and HTTP/2 notice by themselves.
TEST_F(RemoteWorkers, AMachineThatVanishesIsNoticedWithinHalfAMinuteOnBothSides) {
  const auto vanished = StartWorker("vanished");
  vanished->Signal(SIGSTOP);
  EXPECT_TRUE(Eventually([&] { return !ServerLines("worker_lost").empty(); }, absl::Seconds(30)));
  const auto other = StartWorker("other");
  kill(server_->process_id(), SIGSTOP);
  EXPECT_TRUE(
      Eventually([&] { return ReadAll(LogOf("other")).find("disconnected") != std::string::npos; },
                 absl::Seconds(30)))
      << ReadAll(LogOf("other"));
  EXPECT_FALSE(std::filesystem::exists(folder_ / "other.ready"));
  kill(server_->process_id(), SIGCONT);
  EXPECT_TRUE(WaitForLines("worker_connected", 3)) << "it dials again";
}

TEST_F(RemoteWorkers, WhoIsNoneIsToldWhyAndSoIsTheLog) {
  const TemporaryFolder elsewhere;
  std::filesystem::create_directories(elsewhere / "artifacts");
  struct Case {
    Flags command;
    std::string reason;
  };
  const std::vector<Case> cases = {
      {CommandWithoutToken(), "this server asks who calls"},
      {WorkerCommand({"--token_file=" + Write("guess", "guess")}), "is not known here"},
      {WorkerCommand({"--token_file=" + Write("of_a", "token-of-a")}), "'a' is not a worker here"},
      {WorkerCommand({"--data_folder=" + elsewhere.path()}),
       "does not see this server's data folder"},
  };
  for (size_t i = 0; i < cases.size(); ++i) {
    const ProgramResult refused = RunProgram(cases[i].command);
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_THAT(refused.output, HasSubstr(cases[i].reason));
    ASSERT_TRUE(WaitForLines("worker_refused", i + 1));
    EXPECT_THAT(ServerLines("worker_refused")[i].fields.at("error"), HasSubstr(cases[i].reason));
  }
  // The same folder by another path: artifacts would go astray.
  std::filesystem::create_directory_symlink(data_, elsewhere / "link");
  const ProgramResult astray = RunProgram(WorkerCommand({"--data_folder=" + elsewhere / "link"}));
  EXPECT_EQ(astray.exit_code, 1);
  EXPECT_THAT(astray.output, HasSubstr("mount it at the same path"));
  // The audit log has who it was.
  const std::vector<LogLine> calls = ServerLines("call");
  ASSERT_FALSE(calls.empty());
  EXPECT_EQ(calls.back().fields.at("method"), "Work");
  EXPECT_EQ(calls.back().fields.at("client"), "pool");
  EXPECT_EQ(calls.back().fields.at("code"), "FailedPrecondition");
}

// gRPC tells only the worker: to the server it is a connection that was closed.
TEST_F(RemoteWorkers, AStrangersCertificateIsNotTrusted) {
  const BackgroundProgram worker(
      WorkerCommand({"--ca_file=" + Write("stranger.pem", stranger_.certificate())}),
      LogOf("worker"));
  EXPECT_TRUE(Eventually([&] {
    return ReadAll(LogOf("worker")).find("disconnected") != std::string::npos;
  })) << ReadAll(LogOf("worker"));
  EXPECT_THAT(ReadAll(LogOf("worker")), HasSubstr("certificate verify failed"));
  EXPECT_TRUE(ServerLines("worker_connected").empty());
}

TEST_F(RemoteWorkers, AnotherProtocolVersionIsRefused) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = authority_.certificate();
  const auto channel = grpc::CreateChannel(
      worker_address_,
      grpc::CompositeChannelCredentials(grpc::SslCredentials(tls),
                                        grpc::AccessTokenCredentials("token-of-pool")));
  grpc::ClientContext context;
  const auto stream = worker::v1::WorkerService::NewStub(channel)->Work(&context);
  worker::v1::WorkerMessage message;
  message.mutable_hello()->set_protocol_version(2);
  stream->Write(message);
  worker::v1::ServerMessage answer;
  EXPECT_FALSE(stream->Read(&answer));
  const grpc::Status status = stream->Finish();
  EXPECT_EQ(status.error_code(), grpc::StatusCode::FAILED_PRECONDITION);
  EXPECT_THAT(status.error_message(), HasSubstr("protocol version 2, this server 1"));
  ASSERT_TRUE(WaitForLines("worker_refused", 1));
  EXPECT_THAT(ServerLines("worker_refused")[0].fields.at("error"), HasSubstr("protocol version"));
}

// Kept logits are another worker's then, and made again.
TEST_F(RemoteWorkers, WithCachesOfTheirOwnGiveTheSame) {
  const auto first = StartWorker("first", {"--cache_folder=" + folder_ / "cache_1"});
  const auto second = StartWorker("second", {"--cache_folder=" + folder_ / "cache_2"});
  v1::JobSpec spec = SlowJob(sweep_);
  spec.add_comparisons()->mutable_logit_ensemble();
  spec.add_comparisons()->mutable_greedy_logit_ensemble();
  const v1::Job job = server_->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().SerializeAsString(), ResultOfLocalWorkers(spec));
  EXPECT_FALSE(std::filesystem::is_empty(folder_ / "cache_1"));
  EXPECT_FALSE(std::filesystem::is_empty(folder_ / "cache_2"));
}

// The file that the server was started with does for the worker, too.
TEST_F(RemoteWorkers, ReadTheServersConfiguration) {
  const std::string config =
      Write("stockpotd.yaml", absl::StrCat("listen: 127.0.0.1:8433\nworkers: 0\nworker_lease: 5s\n"
                                           "allowed_root: [/]\nallowed_architecture_prefix: [/]\n"
                                           "drain_timeout: 1s\ndata_folder: ",
                                           data_, "\n"));
  const BackgroundProgram worker(
      {ProgramPath("stockpot-worker"), "--config=" + config, "--server=" + worker_address_,
       "--ca_file=" + ca_, "--token_file=" + token_, "--device=cpu", "--threads=1"},
      LogOf("worker"));
  ASSERT_TRUE(WaitForLines("worker_connected", 1)) << ReadAll(LogOf("worker"));
  EXPECT_EQ(server_->Run(sweep_.Spec()).state(), v1::Job::SUCCEEDED);
}

}  // namespace
}  // namespace stockpot
