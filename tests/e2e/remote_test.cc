// Jobs whose files are on other machines: over HTTP, and from a hub. The report is that of local
// files, or the job ends with an error that says why; whatever goes wrong on the way, no number is
// another.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/worker/checkpoint/state_dict.h"
#include "tests/e2e/sweep_elsewhere.h"
#include "tests/support/http_server/http_server.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

class RemoteTest : public SweepElsewhereTest {
 protected:
  RemoteTest() {
    for (const std::string& name : Names()) {
      files_.Put("/sweep/" + name, {.content = ReadWhole(sweep_ / name)});
    }
  }

  // In place of what is there.
  void Write(const std::string& name, const std::vector<MadeTensor>& tensors) {
    std::filesystem::remove(sweep_ / name);
    WriteSafetensors(sweep_ / name, tensors);
  }

  std::unique_ptr<ServerProcess> Start(std::vector<std::string> flags = {},
                                       const std::string& data_folder = "") {
    flags.insert(flags.begin(), {"--allowed_uri_prefix=" + files_.Url("/sweep/"),
                                 "--allowed_private_host=127.0.0.1"});
    return std::make_unique<ServerProcess>(
        ServerProcess::Options{.workers = 2,
                               .threads_per_worker = 1,
                               .allowed_roots = {},
                               .allowed_architecture_prefixes = {files_.Url("/sweep/models/")},
                               .data_folder = data_folder,
                               .flags = flags});
  }

  HttpServer files_;
};

TEST_F(RemoteTest, AJobOverHttpGivesTheReportOfLocalFiles) {
  const auto server = Start();
  for (int run = 0; run < 2; ++run) {
    const v1::Job job = server->Run(SpecAt(files_.Url("/sweep/")));
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
    EXPECT_EQ(job.report().result().ingredients(1).uri(), files_.Url("/sweep/good_1.safetensors"));
  }
  std::map<std::string, int> downloads;
  for (const HttpServer::Request& request : files_.requests()) {
    downloads[request.target] += request.fields.at("range") != "bytes=0-0";
  }
  EXPECT_EQ(downloads.size(), Names().size());
  for (const auto& [target, count] : downloads) EXPECT_EQ(count, 1) << target;
}

TEST_F(RemoteTest, FaultsOnTheWayChangeNoNumber) {
  using Fault = std::function<void(int number, HttpServer::Reply*)>;
  struct Case {
    const char* what;
    const char* reason;  // of the job's error; "": it succeeds
    Fault fault;
  };
  const Case cases[] = {
      {"busy now and then", "",
       [](int number, auto* reply) {
         if (number % 3 == 1) reply->Become(503, {{"Retry-After", "0"}});
       }},
      {"breaks off", "",
       [](int number, auto* reply) {
         if (number % 3 == 1) reply->break_after = reply->size / 2;
       }},
      {"bytes come slowly", "", [](int, auto* reply) { reply->pause_ms = 100; }},
      {"no ranges", "",
       [](int, auto* reply) {
         if (reply->status != 206) return;
         reply->status = 200;
         reply->fields.erase("Content-Range");
         reply->begin = 0;
         reply->size = reply->content->size();
       }},
      {"breaks off after ten bytes, every time", "SOURCE_UNAVAILABLE",
       [](int, auto* reply) {
         // Of the architecture alone: each try waits longer.
         if (reply->content->compare(0, 2, "PK") == 0 && reply->size > 1) reply->break_after = 10;
       }},
      {"a wrong size", "CHECKPOINT_CHANGED",
       [](int, auto* reply) {
         std::string& range = reply->fields["Content-Range"];
         const size_t size = std::stoul(range.substr(range.find('/') + 1)) + 1;
         range = absl::StrCat(range.substr(0, range.find('/') + 1), size);
       }},
      {"always another version", "CHECKPOINT_CHANGED",
       [](int number, auto* reply) { reply->fields["ETag"] = absl::StrCat("\"", number, "\""); }},
      {"compressed", "SOURCE_UNSUPPORTED",
       [](int, auto* reply) { reply->fields["Content-Encoding"] = "gzip"; }},
      {"forbidden", "SOURCE_FORBIDDEN", [](int, auto* reply) { reply->Become(403); }},
      {"redirects to metadata", "SOURCE_ADDRESS_NOT_ALLOWED",
       [](int, auto* reply) {
         reply->Become(302, {{"Location", "http://169.254.169.254/latest?secret"}});
       }},
      {"redirects to this machine", "ARCHITECTURE_NOT_ALLOWED",
       [](int, auto* reply) {
         reply->Become(302, {{"Location", "http://localhost:1/?secret"}});
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const auto server = Start({"--allowed_redirect_host=169.254.169.254"});
    std::atomic<int> requests = 0;
    files_.OnReply([&](const auto&, HttpServer::Reply* reply) { c.fault(++requests, reply); });
    const v1::Job job = server->Run(SpecAt(files_.Url("/sweep/")));
    files_.OnReply(nullptr);
    EXPECT_THAT(job.DebugString(), Not(HasSubstr("secret")));
    if (*c.reason != '\0') {
      EXPECT_EQ(job.state(), v1::Job::FAILED);
      EXPECT_EQ(DetailsOf(job.error()).reason, c.reason) << job.error().message();
      continue;
    }
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  }
}

TEST_F(RemoteTest, AFileThatChangedSinceTheLastJobIsNoticed) {
  const auto server = Start();
  const v1::JobSpec spec = SpecAt(files_.Url("/sweep/"));
  ASSERT_EQ(server->Run(spec).state(), v1::Job::SUCCEEDED);
  Write("good_1.safetensors", TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4}));
  files_.Put("/sweep/good_1.safetensors",
             {.content = ReadWhole(sweep_ / "good_1.safetensors"), .entity_tag = "\"2\""});
  const v1::Job job = server->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult()) << "of the new content";
}

TEST_F(RemoteTest, LargeFilesComeInPartsAndAKilledDownloadGoesOn) {
  // Three parts and a bit; the model has no use for the padding.
  std::vector<MadeTensor> tensors = TinySweep::Checkpoint(std::vector<float>(12, 0.25f), {3, 4});
  tensors.insert(tensors.begin() + 1, MakeTensor("padding", DType::kFloat32, {13'000'000},
                                                 std::vector<float>(13'000'000, 0.5f)));
  Write("good_1.safetensors", tensors);
  files_.Put("/sweep/good_1.safetensors", {.content = ReadWhole(sweep_ / "good_1.safetensors")});
  v1::JobSpec spec = SpecAt(files_.Url("/sweep/"));
  spec.mutable_model()->add_excluded_tensors("padding");
  v1::JobSpec local_spec = sweep_.Spec();
  local_spec.mutable_model()->add_excluded_tensors("padding");
  TemporaryFolder data;
  ServerProcess local({.workers = 1});
  const v1::Job expected = local.Run(local_spec);
  ASSERT_EQ(expected.state(), v1::Job::SUCCEEDED) << expected.error().message();

  std::atomic<int> parts = 0;
  std::atomic<bool> stalls = true;
  files_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.target != "/sweep/good_1.safetensors" || reply->size < 100) return;
    if (++parts > 2 && stalls) reply->stall_after = 1000;
  });
  auto server = Start({}, data / "d");
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  v1::Job job;
  ASSERT_TRUE(server->stub().CreateJob(&context, request, &job).ok());
  while (parts < 4) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  std::this_thread::sleep_for(std::chrono::milliseconds(300));  // two parts arrive, two do not
  server->Kill();
  stalls = false;
  const int before = parts;
  server = Start({}, data / "d");
  job = server->Follow(job.name());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), WithoutUris(expected.report().result()));
  EXPECT_EQ(parts - before, 2) << "what had arrived was kept";
}

TEST_F(RemoteTest, WhatMayNotBeReadIsRefusedWhenTheJobIsMade) {
  const auto server = Start();
  const auto refused = [&](const std::function<void(v1::JobSpec*)>& edit) {
    v1::JobSpec spec = SpecAt(files_.Url("/sweep/"));
    edit(&spec);
    const v1::Job job = server->Run(spec);
    EXPECT_TRUE(job.name().empty()) << "it was made";
    EXPECT_THAT(job.error().DebugString(), Not(HasSubstr("secret")));
    return DetailsOf(job.error()).reason;
  };
  const auto ingredient = [&](const std::string& uri) {
    return refused([&](v1::JobSpec* spec) { spec->mutable_ingredients(0)->set_uri(uri); });
  };
  EXPECT_EQ(ingredient("https://elsewhere.example/a.safetensors"), "PATH_NOT_ALLOWED");
  EXPECT_EQ(ingredient(files_.Url("/other/a.safetensors")), "PATH_NOT_ALLOWED");
  EXPECT_EQ(ingredient("hf://org/repo/a.safetensors"), "PATH_NOT_ALLOWED");
  EXPECT_EQ(ingredient(files_.Url("/sweep/../a.safetensors")), "INVALID_FIELD");
  EXPECT_EQ(ingredient(files_.Url("/sweep/a.safetensors?token=secret")), "INVALID_FIELD");
  EXPECT_EQ(ingredient("http://u:secret@127.0.0.1/sweep/a.safetensors"), "INVALID_FIELD");
  EXPECT_EQ(ingredient("s3://bucket/a.safetensors"), "PATH_NOT_ALLOWED");
  EXPECT_EQ(ingredient("ftp://host/a.safetensors"), "NOT_IMPLEMENTED");
  EXPECT_EQ(refused([&](v1::JobSpec* spec) {
              spec->mutable_model()->set_architecture_uri(files_.Url("/sweep/data.safetensors"));
            }),
            "ARCHITECTURE_NOT_ALLOWED");
  EXPECT_EQ(refused([&](v1::JobSpec* spec) {
              spec->mutable_evaluation()->mutable_held_out()->set_uri(files_.Url("/sweep/images"));
            }),
            "SOURCE_UNSUPPORTED");
  EXPECT_EQ(refused([&](v1::JobSpec* spec) {
              spec->mutable_ingredients(0)->clear_uri();
              spec->mutable_ingredients(0)->set_uri_pattern(files_.Url("/sweep/*"));
            }),
            "SOURCE_UNSUPPORTED");
  EXPECT_TRUE(files_.requests().empty()) << "the server connects to nobody";
}

TEST_F(RemoteTest, AFolderOfAWebServerIsOneCheckpointOrRefused) {
  const auto server = Start();
  v1::JobSpec spec = SpecAt(files_.Url("/sweep/"));
  spec.mutable_ingredients(1)->set_uri(files_.Url("/sweep/models/"));
  const v1::Job job = server->Run(spec);
  EXPECT_EQ(DetailsOf(job.error()).reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_THAT(job.error().message(), HasSubstr("web servers, which have no folders to look in"));
}

class HubTest : public RemoteTest {
 protected:
  HubTest() {
    Commit(first_);
    std::ofstream(folder_ / "token") << "the-hub-token\n";
    hub_.set_token("the-hub-token");
  }
  void Commit(const std::string& commit) {
    std::map<std::string, std::string> contents;
    for (const std::string& name : Names()) contents[name] = ReadWhole(sweep_ / name);
    hub_.Commit("org/sweep", "main", commit, contents);
    hub_.Commit("datasets/org/digits", "main", commit,
                {{"data.safetensors", contents["data.safetensors"]}});
  }
  v1::JobSpec Spec() const {
    v1::JobSpec spec = SpecAt("hf://org/sweep/");
    spec.mutable_evaluation()->mutable_held_out()->set_uri(
        "hf://datasets/org/digits@main/data.safetensors");
    return spec;
  }
  std::unique_ptr<ServerProcess> StartHub(const std::string& data_folder) {
    return std::make_unique<ServerProcess>(ServerProcess::Options{
        .workers = 2,
        .threads_per_worker = 1,
        .allowed_roots = {},
        .allowed_architecture_prefixes = {"hf://org/sweep/models"},
        .data_folder = data_folder,
        .flags = {"--allowed_uri_prefix=hf://org/", "--allowed_uri_prefix=hf://datasets/org/",
                  "--allowed_private_host=127.0.0.1", "--hf_endpoint=" + hub_.endpoint(),
                  "--hf_token_file=" + folder_ / "token"}});
  }

  const std::string first_ = std::string(40, '1'), second_ = std::string(40, '2');
  TemporaryFolder folder_;
  HubServer hub_;
};

TEST_F(HubTest, AJobFromAHubIsPinnedToItsCommits) {
  const auto server = StartHub(folder_ / "d");
  const v1::Job job = server->Run(Spec());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  const std::string pinned = "hf://org/sweep@" + first_ + "/good_0.safetensors";
  EXPECT_EQ(job.report().result().ingredients(0).uri(), "hf://org/sweep/good_0.safetensors");
  EXPECT_EQ(job.report().result().ingredients(0).pinned_uri(), pinned);
  const std::string artifacts = folder_ / ("d/artifacts/" + job.name().substr(5));
  EXPECT_THAT(ReadWhole(artifacts + "/manifest.json"), HasSubstr(pinned));
  EXPECT_THAT(ReadWhole(artifacts + "/soup.safetensors"), HasSubstr(pinned));
  for (const auto& file : std::filesystem::directory_iterator(artifacts)) {
    EXPECT_THAT(ReadWhole(file.path()), Not(HasSubstr("the-hub-token"))) << file.path();
  }
  for (const pid_t worker : server->WorkerProcessIds()) {
    EXPECT_THAT(ReadWhole(absl::StrCat("/proc/", worker, "/cmdline")),
                Not(HasSubstr("the-hub-token")));
  }

  // The soup is made again from the commit, wherever the branch is by then.
  Write("good_0.safetensors", TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4}));
  Commit(second_);
  grpc::ClientContext context;
  v1::VerifySoupRequest request;
  request.set_name(job.name());
  v1::VerifySoupResponse response;
  const grpc::Status verified = server->stub().VerifySoup(&context, request, &response);
  ASSERT_TRUE(verified.ok()) << verified.error_message();
  EXPECT_TRUE(response.identical());
  const v1::Job again = server->Run(Spec());
  ASSERT_EQ(again.state(), v1::Job::SUCCEEDED) << again.error().message();
  EXPECT_THAT(again.report().result().ingredients(0).pinned_uri(),
              StartsWith("hf://org/sweep@" + second_));
  EXPECT_NE(again.report().result().ingredients(0).digest(),
            job.report().result().ingredients(0).digest());
}

TEST_F(HubTest, AShardedCheckpointIsOfOneCommit) {
  const auto weights = TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4});
  WriteSafetensors(folder_ / "bias", {weights[0]});
  WriteSafetensors(folder_ / "weight", {weights[1]});
  WriteSafetensors(folder_ / "whole", weights);
  std::map<std::string, std::string> contents;
  for (const std::string& name : Names()) contents[name] = ReadWhole(sweep_ / name);
  contents["big/a.safetensors"] = ReadWhole(folder_ / "bias");
  contents["big/b.safetensors"] = ReadWhole(folder_ / "weight");
  contents["big/model.safetensors.index.json"] =
      R"({"weight_map": {"bias": "a.safetensors", "weight": "b.safetensors"}})";
  hub_.Commit("org/sweep", "main", first_, contents);
  const auto server = StartHub(folder_ / "d");
  v1::JobSpec spec = Spec();
  for (const char* uri : {"hf://org/sweep/big/", "hf://org/sweep@main/big/",
                          "hf://org/sweep/big/model.safetensors.index.json"}) {
    spec.mutable_ingredients(1)->set_uri(uri);
    const v1::Job job = server->Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(job.report().result().ingredients(1).pinned_uri(),
              "hf://org/sweep@" + first_ + "/big/model.safetensors.index.json");
    EXPECT_EQ(job.report().result().ingredients(1).digest(),
              SummarizeContent(**OpenCheckpoint(folder_ / "whole", {}))->digest);
  }
}

TEST_F(HubTest, AFolderIsTheCheckpointsBelowItAtOneCommit) {
  std::map<std::string, std::string> contents;
  for (const std::string& name : Names()) contents[name] = ReadWhole(sweep_ / name);
  for (int i = 0; i < kIngredients; ++i) {
    const std::string name = absl::StrCat("good_", i, ".safetensors");
    contents["runs/" + name] = contents[name];
  }
  contents["notes/a.txt"] = "no checkpoint";
  hub_.Commit("org/sweep", "main", first_, contents);
  const auto server = StartHub(folder_ / "d");
  v1::JobSpec spec = Spec();
  spec.clear_ingredients();
  spec.add_ingredients()->set_uri("hf://org/sweep/runs/");
  v1::Job job = server->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  EXPECT_EQ(job.report().result().ingredients(1).uri(),
            "hf://org/sweep@" + first_ + "/runs/good_1.safetensors");

  spec.mutable_ingredients(0)->set_uri("hf://org/sweep/notes/");
  job = server->Run(spec);
  EXPECT_EQ(DetailsOf(job.error()).reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_THAT(job.error().message(), HasSubstr("no checkpoint below hf://org/sweep/notes"));
  EXPECT_THAT(job.error().message(), HasSubstr("looked at 1 files"));
}

TEST_F(HubTest, APatternIsOfOneCommit) {
  const auto server = StartHub(folder_ / "d");
  v1::JobSpec spec = Spec();
  spec.clear_ingredients();
  spec.add_ingredients()->set_uri_pattern("hf://org/sweep@main/good_*.safetensors");
  const v1::Job job = server->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  EXPECT_EQ(job.report().result().ingredients(1).uri(),
            "hf://org/sweep@" + first_ + "/good_1.safetensors");
}

TEST_F(HubTest, ABranchThatMovesWhileAJobRunsChangesNothing) {
  const std::string& expected = LocalResult();
  Write("good_0.safetensors", TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4}));
  const auto server = StartHub(folder_ / "d");
  std::atomic<int> looks = 0;
  std::atomic<bool> moved = false;
  // Once everything was looked at once, the branch moves on.
  hub_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply*) {
    if (request.target.find("/resolve/main/") != std::string::npos) ++looks;
  });
  std::thread mover([&] {
    while (looks < 5) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    Commit(second_);
    moved = true;
  });
  const v1::Job job = server->Run(Spec());
  looks = 100;
  mover.join();
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), expected);
}

}  // namespace
}  // namespace stockpot
