// Tasks over files that a server of this machine serves: brought once, looked at when they are
// inspected, named by what pins them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "server/base/clock.h"
#include "server/base/status.h"
#include "server/storage/remote_files.h"
#include "tests/server/worker/session/worker_tasks.h"
#include "tests/support/http_server/http_server.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

std::string Slurp(const std::string& path) {
  std::ostringstream content;
  content << std::ifstream(path, std::ios::binary).rdbuf();
  return content.str();
}

class RemoteSourcesTest : public testing::Test {
 protected:
  RemoteSourcesTest() {
    for (const char* name :
         {"good_0.safetensors", "good_1.safetensors", "data.safetensors", "models/linear.pt"}) {
      server_.Put(std::string("/") + name, {.content = Slurp(sweep_ / name)});
    }
    hub_.Commit("org/repo", "main", commit_,
                {{"good_0.safetensors", Slurp(sweep_ / "good_0.safetensors")},
                 {"linear.pt", Slurp(sweep_ / "models/linear.pt")}});
    Restart();
  }

  // A worker that has opened nothing yet, over the same cache.
  void Restart(bool with_remote_files = true) {
    RemoteAccess access;
    access.allowed_uri_prefixes = {server_.Url("/")};
    access.allowed_private_hosts = {"127.0.0.1"};
    access.hf_endpoint = hub_.endpoint();
    RemoteFiles::Options options;
    options.cache_folder = sweep_ / "cache/downloads";
    options.download.part_bytes = 64 << 10;
    runner_.reset();
    remote_files_ = *OpenRemoteFiles(access, options, &clock_, nullptr);
    TaskRunner::Options runner;
    runner.device = "cpu";
    runner.sources.cache_folder = sweep_ / "cache";
    if (with_remote_files) runner.remote_files = remote_files_.get();
    auto allowed = AllowList::Create({sweep_.folder().path()},
                                     {sweep_ / "models", server_.Url("/models"), "hf://org/"}, {},
                                     {server_.Url("/"), "hf://org/"});
    ASSERT_TRUE(allowed.ok()) << allowed.status();
    runner_ = std::make_unique<TaskRunner>(runner, *std::move(allowed));
  }

  TaskOutcome Run(const worker::v1::Task& task, const Progress& progress = Unwatched) {
    auto outcome = runner_->Run(task, progress);
    EXPECT_TRUE(outcome.ok()) << outcome.status();
    return outcome.ok() ? *std::move(outcome) : TaskOutcome();
  }
  absl::Status StatusOf(const worker::v1::Task& task) {
    return runner_->Run(task, Unwatched).status();
  }
  // The same task over the server's files.
  worker::v1::Task Remote(worker::v1::Task task) const {
    worker::v1::Measure* const measure = task.mutable_measure();
    measure->set_architecture_uri(server_.Url("/models/linear.pt"));
    measure->mutable_data_set()->set_uri(server_.Url("/data.safetensors"));
    for (int i = 0; i < measure->blend().ingredients_size(); ++i) {
      measure->mutable_blend()->mutable_ingredients(i)->set_uri(
          server_.Url("/good_" + std::to_string(i) + ".safetensors"));
    }
    return task;
  }

  TinySweep sweep_;
  HttpServer server_;
  HubServer hub_;
  SystemClock clock_;
  const std::string commit_ = std::string(40, 'c');
  std::unique_ptr<RemoteFiles> remote_files_;
  std::unique_ptr<TaskRunner> runner_;
};

TEST_F(RemoteSourcesTest, AMeasureIsThatOfLocalFilesAndAsksOnce) {
  const worker::v1::Task local = MeasureTaskOf(sweep_, runner_.get(), {0, 1});
  const TaskOutcome expected = Run(local);
  for (int run = 0; run < 3; ++run) {
    const TaskOutcome found = Run(Remote(local));
    EXPECT_EQ(found.result.SerializeAsString(), expected.result.SerializeAsString());
    EXPECT_EQ(found.examples, expected.examples);
    EXPECT_EQ(server_.requests().size(), 8u) << "four files, each looked at and brought";
  }
  Restart();
  EXPECT_EQ(Run(Remote(local)).result.SerializeAsString(), expected.result.SerializeAsString());
  EXPECT_EQ(server_.requests().size(), 12u) << "another worker looks, and finds them here";
}

TEST_F(RemoteSourcesTest, EveryInspectionLooksAndAMeasureHoldsToItsDigest) {
  const std::string uri = server_.Url("/good_0.safetensors");
  const worker::v1::Task local = MeasureTaskOf(sweep_, runner_.get(), {0, 1});
  const auto digest = [&] {
    return Run(InspectCheckpointTaskOf(uri)).result.checkpoint().digest();
  };
  const std::string first = digest();
  const TaskOutcome measured = Run(Remote(local));
  server_.Put("/good_0.safetensors",
              {.content = Slurp(sweep_ / "good_1.safetensors"), .entity_tag = "\"2\""});
  EXPECT_NE(digest(), first);
  EXPECT_EQ(Run(Remote(local)).result.SerializeAsString(), measured.result.SerializeAsString())
      << "it still has the content that the job began with";
  Restart();
  const absl::Status status = StatusOf(Remote(local));
  EXPECT_EQ(GetErrorFacts(status).reason, "CHECKPOINT_CHANGED") << status;
}

TEST_F(RemoteSourcesTest, ABranchIsFoundToBeItsCommit) {
  EXPECT_EQ(Run(InspectCheckpointTaskOf(server_.Url("/good_0.safetensors")))
                .result.checkpoint()
                .pinned_uri(),
            "");
  EXPECT_EQ(Run(InspectCheckpointTaskOf("hf://org/repo/good_0.safetensors"))
                .result.checkpoint()
                .pinned_uri(),
            "hf://org/repo@" + commit_ + "/good_0.safetensors");
  EXPECT_EQ(Run(InspectArchitectureTaskOf("hf://org/repo@main/linear.pt"))
                .result.architecture()
                .pinned_uri(),
            "hf://org/repo@" + commit_ + "/linear.pt");
}

TEST_F(RemoteSourcesTest, ProgressNeverFallsFromDownloadToTensors) {
  auto tensors = TinySweep::Checkpoint(std::vector<float>(12, 1.0f), {3, 4});
  tensors.insert(tensors.begin() + 1, MakeTensor("padding", DType::kFloat32, {1'000'000},
                                                 std::vector<float>(1'000'000, 0.5f)));
  WriteSafetensors(sweep_ / "large.safetensors", tensors);
  server_.Put("/large.safetensors", {.content = Slurp(sweep_ / "large.safetensors")});
  int64_t last = 0;
  Run(InspectCheckpointTaskOf(server_.Url("/large.safetensors")), [&](int64_t done, int64_t) {
    EXPECT_GE(done, last);
    last = done;
    return absl::OkStatus();
  });
  EXPECT_EQ(last, 3 + 3) << "whole mebibytes, then tensors";
}

TEST_F(RemoteSourcesTest, WhatIsMissingHasTheReasonOfWhatWasLookedFor) {
  EXPECT_EQ(GetErrorFacts(StatusOf(InspectCheckpointTaskOf(server_.Url("/none")))).reason,
            "CHECKPOINT_NOT_FOUND");
  EXPECT_EQ(GetErrorFacts(StatusOf(InspectDataSetTaskOf(server_.Url("/none.safetensors")))).reason,
            "DATA_SET_NOT_FOUND");
  EXPECT_EQ(GetErrorFacts(StatusOf(InspectArchitectureTaskOf(server_.Url("/models/none")))).reason,
            "ARCHITECTURE_INVALID");
}

TEST_F(RemoteSourcesTest, WhatIsNotReadRemotelyIsSaid) {
  const absl::Status folder = StatusOf(InspectDataSetTaskOf(server_.Url("/images")));
  EXPECT_EQ(GetErrorFacts(folder).reason, "NOT_IMPLEMENTED");
  EXPECT_THAT(std::string(folder.message()), HasSubstr("image folders"));
  EXPECT_EQ(GetErrorFacts(StatusOf(InspectCheckpointTaskOf("https://elsewhere.example/a"))).reason,
            "PATH_NOT_ALLOWED");
  EXPECT_EQ(
      GetErrorFacts(StatusOf(InspectArchitectureTaskOf(server_.Url("/data.safetensors")))).reason,
      "ARCHITECTURE_NOT_ALLOWED");
  Restart(/*with_remote_files=*/false);
  EXPECT_EQ(
      GetErrorFacts(StatusOf(InspectCheckpointTaskOf(server_.Url("/good_0.safetensors")))).reason,
      "NOT_IMPLEMENTED");
  EXPECT_TRUE(server_.requests().empty());
}

TEST_F(RemoteSourcesTest, AnErrorShowsNoSecretOfAUriThatIsNotUnderstood) {
  for (const char* uri : {"https://user:secret@host/a", "https://host/a?token=secret"}) {
    const absl::Status status = StatusOf(InspectCheckpointTaskOf(uri));
    EXPECT_EQ(GetErrorFacts(status).reason, "INVALID_FIELD");
    EXPECT_THAT(std::string(status.message()), testing::Not(HasSubstr("secret")));
  }
}

}  // namespace
}  // namespace stockpot
