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
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using Watched = PatientClient::Watched;

constexpr auto kGenerous = std::chrono::minutes(2);

// Three classifiers of tiny pictures: a job that decodes, so that every fail point is on its way.
class PictureSweep {
 public:
  PictureSweep() {
    std::filesystem::copy("tests/support/models/image.pt", folder_ / "image.pt");
    const char* pictures[] = {"rgb.png", "palette.png", "cmyk.jpg",
                              "444.jpg", "grey.png",    "lossy.webp"};
    for (size_t i = 0; i < std::size(pictures); ++i) {
      const std::string folder = folder_ / ("data/class_" + std::to_string(i % 3));
      std::filesystem::create_directories(folder);
      std::filesystem::copy(std::string("tests/server/worker/dataset/data/") + pictures[i],
                            folder + "/" + pictures[i]);
    }
    for (int i = 0; i < 3; ++i) {
      std::vector<float> weight(3, 1.0f);
      weight[static_cast<size_t>(i)] = 1.5f;
      WriteSafetensors(Checkpoint(i), {MakeTensor("weight", DType::kFloat32, {3}, weight)});
    }
  }

  v1::JobSpec Spec() const {
    v1::JobSpec spec;
    spec.mutable_model()->set_architecture_uri(folder_ / "image.pt");
    for (int i = 0; i < 3; ++i) spec.add_ingredients()->set_uri(Checkpoint(i));
    spec.mutable_compute()->set_speculation(1);
    v1::DataSet* data = spec.mutable_evaluation()->mutable_held_out();
    data->set_uri(folder_ / "data");
    data->mutable_image_transform()->set_resize_height(2);
    data->mutable_image_transform()->set_resize_width(2);
    return spec;
  }

 private:
  std::string Checkpoint(int i) const {
    return folder_ / ("checkpoint_" + std::to_string(i) + ".safetensors");
  }

  const TemporaryFolder folder_;
};

class FailPointTest : public testing::TestWithParam<absl::string_view> {
 protected:
  static void SetUpTestSuite() {
    sweep_ = new PictureSweep;
    ServerProcess server({});
    undisturbed_ = new v1::Job(server.Run(sweep_->Spec()));
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
    server_ = std::make_unique<ServerProcess>(ServerProcess::Options{.data_folder = data_ / "d"});
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
  ExpectEqualResult(client_.Get(*server_), *undisturbed_);
  ExpectDeleted();
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
  ServerProcess server({.workers = 2, .flags = {"--worker_lease=3s"}});
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
  ServerProcess other({.workers = 1});
  const v1::Job undisturbed = other.Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().result().SerializeAsString(),
            undisturbed.report().result().SerializeAsString());
}

}  // namespace
}  // namespace stockpot
