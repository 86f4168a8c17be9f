// A process that ends at each named instant once (server/base/fail_point.h), and a worker that is
// stopped in the middle of a task and goes on late: the result is the one of an undisturbed run.
#include "server/base/fail_point.h"

#include <gtest/gtest.h>
#include <signal.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>

#include "tests/e2e/patient_client.h"
#include "tests/e2e/picture_sweep.h"
#include "tests/support/server_process/server_log.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using Watched = PatientClient::Watched;

constexpr auto kGenerous = std::chrono::minutes(2);

class FailPointTest : public testing::TestWithParam<absl::string_view> {
 protected:
  static void SetUpTestSuite() {
    sweep_ = new PictureSweep;
    ServerProcess server({});
    PatientClient client(sweep_->Spec());
    EXPECT_TRUE(client.CreateOrFind(server));
    undisturbed_ = new v1::Job(server.Follow(client.name()));
  }
  static void TearDownTestSuite() {
    delete sweep_;
    delete undisturbed_;
  }

  void SetUp() override {
    setenv("STOCKPOT_FAIL_POINT", std::string(GetParam()).c_str(), 1);
    setenv("STOCKPOT_FAIL_POINT_FILE", fired_.c_str(), 1);
  }
  void TearDown() override {
    unsetenv("STOCKPOT_FAIL_POINT");
    unsetenv("STOCKPOT_FAIL_POINT_FILE");
  }

  void StartAgain() {
    if (server_ != nullptr) server_->Kill();  // it is dead: this buries it
    server_ = std::make_unique<ServerProcess>(
        ServerProcess::Options{.data_folder = data_ / "d", .log_file = data_ / "log"});
  }

  void ExpectDeleted() {
    grpc::ClientContext context;
    v1::DeleteJobRequest request;
    request.set_name(client_.name());
    google::protobuf::Empty nothing;
    grpc::Status status = server_->stub().DeleteJob(&context, request, &nothing);
    if (status.error_code() == grpc::StatusCode::UNAVAILABLE) {
      StartAgain();
      grpc::ClientContext again;
      status = server_->stub().DeleteJob(&again, request, &nothing);
    }
    EXPECT_TRUE(status.ok()) << status.error_message();
    grpc::ClientContext last;
    EXPECT_EQ(server_->stub().DeleteJob(&last, request, &nothing).error_code(),
              grpc::StatusCode::NOT_FOUND);
  }

  static PictureSweep* sweep_;
  static v1::Job* undisturbed_;
  const TemporaryFolder data_;
  const std::string fired_ = data_ / "fired";
  PatientClient client_{sweep_->Spec()};
  std::unique_ptr<ServerProcess> server_;
};

PictureSweep* FailPointTest::sweep_ = nullptr;
v1::Job* FailPointTest::undisturbed_ = nullptr;

TEST_P(FailPointTest, FiresOnceAndChangesNothing) {
  StartAgain();
  Watched watched = Watched::kBroken;
  for (int tries = 0; tries < 3 && watched != Watched::kEnded; ++tries) {
    if (client_.CreateOrFind(*server_)) watched = client_.Watch(*server_, kGenerous);
    ASSERT_NE(watched, Watched::kTimeOver) << "it hangs";
    if (watched == Watched::kBroken) StartAgain();
  }
  client_.ExpectEveryEventOnceAndNothingMeasuredTwice();
  const v1::Job job = client_.Get(*server_);
  ExpectEqualResult(job, *undisturbed_);
  EXPECT_EQ(client_.Download(*server_).size(), static_cast<size_t>(job.artifacts_size()));
  ExpectDeleted();
  ExpectNoTaskGivenAgain(data_ / "log");
  std::ifstream fired(fired_);
  std::string point;
  EXPECT_TRUE(std::getline(fired, point)) << "the job never came by this point";
  EXPECT_EQ(point, GetParam());
}

INSTANTIATE_TEST_SUITE_P(Server, FailPointTest, testing::ValuesIn(kServerFailPoints),
                         [](const auto& point) { return std::string(point.param); });
INSTANTIATE_TEST_SUITE_P(Worker, FailPointTest, testing::ValuesIn(kWorkerFailPoints),
                         [](const auto& point) { return std::string(point.param); });

TEST(StoppedWorker, AnotherDoesItsTaskAndItsLateReturnWritesNothingTwice) {
  const TinySweep sweep(40, 4);
  v1::JobSpec spec = sweep.Spec("slow.pt");
  spec.mutable_compute()->set_batch_size(1);
  const TemporaryFolder folder;
  ServerProcess server({.workers = 2, .flags = {"--worker_lease=3s"}, .log_file = folder / "log"});
  PatientClient client(spec);
  ASSERT_TRUE(client.CreateOrFind(server));
  client.Watch(server, kGenerous,
               [](const v1::JobEvent& event) { return event.has_blend_measured(); });
  const std::vector<pid_t> workers = server.WorkerProcessIds();
  ASSERT_EQ(workers.size(), 2u);
  ASSERT_EQ(kill(workers[0], SIGSTOP), 0);
  // Its task is lost to it once its lease is over; then it goes on where it was, and answers.
  EXPECT_EQ(client.Watch(server, kGenerous,
                         [](const v1::JobEvent& event) { return event.has_attempt_failed(); }),
            Watched::kTimeOver)
      << "the job ended, or nobody noticed";
  kill(workers[0], SIGCONT);
  ASSERT_EQ(client.Watch(server, kGenerous), Watched::kEnded);
  client.ExpectEveryEventOnceAndNothingMeasuredTwice();
  const v1::Job job = client.Get(server);
  EXPECT_EQ(job.report().cost().failed_attempts(), 1);
  // It was told to stop before it went on: its stream ends, and a result that was on its way is
  // ignored (EngineCrash has one that arrives in time to be). Nothing is lost or stored of it.
  const std::vector<LogLine> log = ReadServerLog(folder / "log");
  std::string hung;
  bool gone = false;
  for (const LogLine& line : log) {
    if (line.event == "worker_hung") hung = line.fields.at("worker");
    gone |= line.event == "worker_lost" && line.fields.at("worker") == hung;
  }
  EXPECT_FALSE(hung.empty());
  EXPECT_TRUE(gone);
  ExpectNoTaskGivenAgain(folder / "log");
  ServerProcess other({.workers = 1});
  const v1::Job undisturbed = other.Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().SerializeAsString(),
            undisturbed.report().result().SerializeAsString());
}

}  // namespace
}  // namespace stockpot
