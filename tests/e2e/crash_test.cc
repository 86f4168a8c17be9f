// kill -9 of the server or of a worker at random moments: what a client was told stays true, and
// the result is the one of an undisturbed run.
//
//   STOCKPOT_CRASH_KILLS=200 STOCKPOT_CRASH_SEED=7 build/release/tests/crash_test
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>

#include "tests/e2e/patient_client.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using Watched = PatientClient::Watched;
using std::chrono::milliseconds;

int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

class CrashTest : public testing::Test {
 protected:
  // Tasks short enough to end between two kills, and enough of them to last.
  v1::JobSpec Spec() const {
    v1::JobSpec spec = sweep_.Spec("slow.pt");
    spec.mutable_compute()->set_batch_size(1);
    spec.mutable_compute()->set_speculation(1);  // so that a run measures what another does
    return spec;
  }

  void Start() {
    server_ = std::make_unique<ServerProcess>(ServerProcess::Options{.workers = 2,
                                                                     .threads_per_worker = 1,
                                                                     .data_folder = data_ / "d",
                                                                     .log_file = data_ / "log"});
    ASSERT_TRUE(client_.CreateOrFind(*server_));
  }

  // A task that is lost twice fails its job; its owner goes on with it.
  void RetryIfQuarantined() {
    const v1::Job job = client_.Get(*server_);
    if (job.state() != v1::Job::FAILED) return;
    ASSERT_EQ(DetailsOf(job.error()).reason, "WORKER_CRASHED") << job.error().message();
    grpc::ClientContext context;
    v1::RetryJobRequest request;
    request.set_name(client_.name());
    v1::Job retried;
    const grpc::Status status = server_->stub().RetryJob(&context, request, &retried);
    ASSERT_TRUE(status.ok()) << status.error_message();
  }

  v1::Job RunUndisturbed() const {
    ServerProcess server({.workers = 2, .threads_per_worker = 1});
    PatientClient client(Spec());
    EXPECT_TRUE(client.CreateOrFind(server));
    return server.Follow(client.name());
  }

  void KillSomething(std::mt19937* random) {
    const std::vector<pid_t> workers = server_->WorkerProcessIds();
    if ((*random)() % 2 == 0 || workers.empty()) {
      server_->Kill();
      ++servers_killed_;
      Start();
    } else {
      kill(workers[(*random)() % workers.size()], SIGKILL);
      ++workers_killed_;
    }
  }

  const int kills_ = FromEnvironment("STOCKPOT_CRASH_KILLS", 50);
  const TinySweep sweep_{20, 3 + kills_};
  const TemporaryFolder data_;
  PatientClient client_{Spec()};
  std::unique_ptr<ServerProcess> server_;
  int servers_killed_ = 0, workers_killed_ = 0;
};

TEST_F(CrashTest, KilledAtRandomMomentsAJobEndsAsIfUndisturbed) {
  const int seed = FromEnvironment("STOCKPOT_CRASH_SEED", 1);
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random(static_cast<unsigned>(seed));
  const auto begin = std::chrono::steady_clock::now();
  const v1::Job undisturbed = RunUndisturbed();
  const auto took =
      std::chrono::duration_cast<milliseconds>(std::chrono::steady_clock::now() - begin);
  // All kills fit into four fifths of an undisturbed run, and a disturbed one lasts longer. A
  // worker is up after about a second: some moments are before it and some in the middle.
  std::uniform_int_distribution<int> moment(10, static_cast<int>(1.6 * took.count() / kills_));
  ASSERT_NO_FATAL_FAILURE(Start());
  while (servers_killed_ + workers_killed_ < kills_) {
    const Watched watched = client_.Watch(*server_, milliseconds(moment(random)));
    ASSERT_NE(watched, Watched::kBroken);
    if (watched == Watched::kEnded) {
      ASSERT_NO_FATAL_FAILURE(RetryIfQuarantined());
      if (client_.Get(*server_).state() == v1::Job::SUCCEEDED) break;
    }
    ASSERT_NO_FATAL_FAILURE(KillSomething(&random));
  }
  EXPECT_GE(servers_killed_ + workers_killed_, kills_) << "it was over before it was disturbed";
  RecordProperty("servers_killed", servers_killed_);
  RecordProperty("workers_killed", workers_killed_);

  for (int retries = 0; retries < 3; ++retries) {
    ASSERT_EQ(client_.Watch(*server_, std::chrono::minutes(4)), Watched::kEnded);
    ASSERT_NO_FATAL_FAILURE(RetryIfQuarantined());
    if (client_.Get(*server_).state() == v1::Job::SUCCEEDED) break;
  }
  client_.ExpectEveryEventOnceAndNothingMeasuredTwice();
  const v1::Job job = client_.Get(*server_);
  EXPECT_EQ(client_.Download(*server_).size(), static_cast<size_t>(job.artifacts_size()));
  server_.reset();
  ExpectNoTaskGivenAgain(data_ / "log");
  ExpectEqualResult(job, undisturbed);
}

}  // namespace
}  // namespace stockpot
