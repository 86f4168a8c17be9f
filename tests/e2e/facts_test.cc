// What jobs know of each other: nothing is measured twice, whatever a checkpoint is called, and a
// file that changed is noticed.
#include <gtest/gtest.h>

#include <filesystem>
#include <set>
#include <string>
#include <vector>

#include "tests/support/server_process/server_log.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

class FactsTest : public testing::Test {
 protected:
  // A greedy job over the first so many ingredients.
  v1::JobSpec SpecOf(int ingredients, const std::string& model = "linear.pt") const {
    v1::JobSpec spec = sweep_.Spec(model);
    while (spec.ingredients_size() > ingredients) spec.mutable_ingredients()->RemoveLast();
    spec.mutable_compute()->set_speculation(1);
    return spec;
  }

  v1::Job Run(const v1::JobSpec& spec) {
    v1::Job job = server_.Run(spec);
    EXPECT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    return job;
  }

  std::string Create(const v1::JobSpec& spec) {
    grpc::ClientContext context;
    v1::CreateJobRequest request;
    *request.mutable_job()->mutable_spec() = spec;
    v1::Job job;
    EXPECT_TRUE(server_.stub().CreateJob(&context, request, &job).ok());
    return job.name();
  }

  // Tasks given to workers since the last call, by their descriptions: measures alone.
  std::vector<std::string> NewMeasures() {
    std::vector<std::string> measures;
    const std::vector<LogLine> log = ReadServerLog(logs_ / "log");
    for (; read_ < log.size(); ++read_) {
      if (log[read_].event != "task_given") continue;
      const std::string& task = log[read_].fields.at("task");
      if (task.find(" on held_out") != std::string::npos) measures.push_back(task);
    }
    return measures;
  }

  const TinySweep sweep_{1, 7};
  const TemporaryFolder logs_;
  size_t read_ = 0;
  ServerProcess server_{ServerProcess::Options{.workers = 2, .log_file = logs_ / "log"}};
};

TEST_F(FactsTest, ThreeMoreCheckpointsCostTheirOwnMeasuresAlone) {
  Run(SpecOf(4));
  EXPECT_GE(NewMeasures().size(), 4u);
  const v1::Job again = Run(SpecOf(4));
  EXPECT_EQ(again.report().cost().evaluations_run(), 0);
  EXPECT_TRUE(NewMeasures().empty());
  const v1::Job more = Run(SpecOf(7));
  EXPECT_GE(more.report().cost().evaluations_reused(), 4);
  const std::vector<std::string> measures = NewMeasures();
  EXPECT_EQ(static_cast<int64_t>(measures.size()), more.report().cost().evaluations_run());
  for (const std::string& measure : measures) {
    for (int i = 0; i < 4; ++i) {
      EXPECT_NE(measure.find("good_" + std::to_string(i)), 0u) << "known already: " << measure;
    }
  }
}

TEST_F(FactsTest, ACheckpointIsKnownByItsContentAndNotByItsName) {
  const v1::Job first = Run(SpecOf(3));
  NewMeasures();
  v1::JobSpec renamed = SpecOf(3);
  for (int i = 0; i < 3; ++i) {
    const std::string path = sweep_ / ("other_name_" + std::to_string(i) + ".safetensors");
    std::filesystem::copy(renamed.ingredients(i).uri(), path);
    renamed.mutable_ingredients(i)->set_uri(path);
  }
  const v1::Job second = Run(renamed);
  EXPECT_EQ(second.report().cost().evaluations_run(), 0);
  EXPECT_TRUE(NewMeasures().empty());
  EXPECT_EQ(second.report().result().soup_digest(), first.report().result().soup_digest());
}

TEST_F(FactsTest, AFileThatChangedUnderItsNameIsMeasuredAnew) {
  const v1::Job first = Run(SpecOf(3));
  NewMeasures();
  const std::string path = sweep_ / "good_0.safetensors";
  std::filesystem::remove(path);
  WriteSafetensors(path, TinySweep::Checkpoint(std::vector<float>(12, 0.25f), {3, 4}));
  const v1::Job second = Run(SpecOf(3));
  EXPECT_NE(second.report().result().ingredients(0).digest(),
            first.report().result().ingredients(0).digest());
  const std::vector<std::string> measures = NewMeasures();
  ASSERT_FALSE(measures.empty());
  int alone = 0;
  for (const std::string& measure : measures) {
    alone += measure.find("good_0") == 0 ? 1 : 0;
    EXPECT_NE(measure.find("good_1"), 0u) << "it has not changed";
    EXPECT_NE(measure.find("good_2"), 0u) << "it has not changed";
  }
  EXPECT_GE(alone, 1);
}

TEST_F(FactsTest, EqualTasksOfRunningJobsRunOnce) {
  v1::JobSpec spec = SpecOf(5, "slow.pt");
  spec.mutable_compute()->set_batch_size(1);
  const std::vector<std::string> names = {Create(spec), Create(spec)};
  std::set<std::string> results;
  int64_t run = 0;
  for (const std::string& name : names) {
    const v1::Job job = server_.Follow(name);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    results.insert(job.report().result().SerializeAsString());
    run += job.report().cost().evaluations_run();
  }
  EXPECT_EQ(results.size(), 1u);
  const std::vector<std::string> keys = KeysOfTasksGiven(ReadServerLog(logs_ / "log"));
  EXPECT_EQ(std::set<std::string>(keys.begin(), keys.end()).size(), keys.size());
  EXPECT_EQ(static_cast<int64_t>(NewMeasures().size()), run);
}

}  // namespace
}  // namespace stockpot
