// kill -9 at random moments: what a client was told stays true, and the result is the one of an
// undisturbed run. The oracle is the client's own record of events, outside the store.
//
//   STOCKPOT_CRASH_KILLS=50 STOCKPOT_CRASH_SEED=7 build/release/tests/crash_test
#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

int FromEnvironment(const char* name, int otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr ? otherwise : std::atoi(value);
}

// Sent again after every crash, as a client does that never got an answer.
v1::CreateJobRequest SlowJob(const TinySweep& sweep) {
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = sweep.Spec("slow.pt");
  request.mutable_job()->mutable_spec()->mutable_compute()->set_batch_size(1);
  request.set_request_id("the one job");
  return request;
}

class CrashTest : public testing::Test {
 protected:
  // Watches until the job ends or the time is over. True when it has ended.
  bool WatchFor(ServerProcess& server, std::chrono::milliseconds time) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + time);
    v1::WatchJobRequest request;
    request.set_name(name_);
    request.set_after_sequence(events_.empty() ? 0 : events_.back().sequence());
    auto reader = server.stub().WatchJob(&context, request);
    v1::JobEvent event;
    while (reader->Read(&event)) {
      if (event.sequence() > 0) events_.push_back(event);
    }
    return reader->Finish().ok();
  }

  void CreateOrFind(ServerProcess& server) {
    grpc::ClientContext context;
    v1::Job job;
    const grpc::Status status = server.stub().CreateJob(&context, SlowJob(sweep_), &job);
    ASSERT_TRUE(status.ok()) << status.error_message();
    if (name_.empty()) name_ = job.name();
    ASSERT_EQ(job.name(), name_) << "an accepted job was lost";
  }

  void ExpectEveryEventOnceAndNothingMeasuredTwice() const {
    std::set<std::vector<std::string>> measured;
    for (size_t i = 0; i < events_.size(); ++i) {
      EXPECT_EQ(events_[i].sequence(), static_cast<int64_t>(i + 1));
      if (!events_[i].has_blend_measured()) continue;
      const auto& names = events_[i].blend_measured().ingredients();
      EXPECT_TRUE(measured.insert({names.begin(), names.end()}).second);
      EXPECT_FALSE(events_[i].blend_measured().reused()) << "its own work, not another job's";
    }
    EXPECT_FALSE(measured.empty());
  }

  const int kills_ = FromEnvironment("STOCKPOT_CRASH_KILLS", 8);
  // Tasks short enough to end between two kills, and enough of them to last.
  const TinySweep sweep_{40, 3 + kills_};
  const TemporaryFolder data_;
  std::string name_;
  std::vector<v1::JobEvent> events_;
};

TEST_F(CrashTest, KilledAtRandomMomentsAJobEndsAsIfUndisturbed) {
  const int seed = FromEnvironment("STOCKPOT_CRASH_SEED", 1);
  std::mt19937 random(static_cast<unsigned>(seed));
  // A worker is up after about a second, so some moments are before it and some in the middle.
  std::uniform_int_distribution<int> moment(10, 2500);
  int killed = 0;
  bool ended = false;
  while (!ended) {
    ServerProcess server({.data_folder = data_.path() + "/d"});
    ASSERT_NO_FATAL_FAILURE(CreateOrFind(server));
    const bool last = killed >= kills_;
    ended = WatchFor(server,
                     last ? std::chrono::minutes(2) : std::chrono::milliseconds(moment(random)));
    ASSERT_TRUE(ended || !last) << "does not end";
    if (ended) break;
    server.Kill();
    ++killed;
  }
  RecordProperty("kills", killed);
  EXPECT_GE(killed, kills_ / 2) << "it was over before it was disturbed much";

  ServerProcess server({.data_folder = data_.path() + "/d"});
  const v1::Job job = server.Follow(name_, &events_);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  ExpectEveryEventOnceAndNothingMeasuredTwice();
  ServerProcess other({});
  EXPECT_EQ(other.Run(SlowJob(sweep_).job().spec()).report().result().SerializeAsString(),
            job.report().result().SerializeAsString())
      << "seed " << seed;
}

}  // namespace
}  // namespace stockpot
