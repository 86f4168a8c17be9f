// Tasks over files that a server of this machine serves: brought once, looked at when they are
// inspected, named by what pins them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
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
    options.max_bytes = max_download_bytes_;
    runner_.reset();
    remote_files_ = *OpenRemoteFiles(access, options, &clock_, nullptr);
    TaskRunner::Options runner;
    runner.device = "cpu";
    runner.sources.cache_folder = sweep_ / "cache";
    runner.sources.data_set_limits.max_cache_bytes = max_cache_bytes_;
    if (with_remote_files) runner.remote_files = remote_files_.get();
    auto allowed = AllowList::Create({sweep_.folder().path()},
                                     {sweep_ / "models", server_.Url("/models"), "hf://org/"}, {},
                                     {server_.Url("/"), "hf://org/", "hf://datasets/org/"});
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
  uint64_t max_download_bytes_ = 1'000'000'000, max_cache_bytes_ = 1'000'000'000;
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
  EXPECT_EQ(GetErrorFacts(folder).reason, "SOURCE_UNSUPPORTED");
  EXPECT_THAT(std::string(folder.message()), HasSubstr("has no listings"));
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

class RemoteManifestTest : public RemoteSourcesTest {
 protected:
  RemoteManifestTest() {
    server_.Put("/set/a%20dog.png", {.content = Slurp(kImages + "rgb.png")});
    server_.Put("/set/cats/1.png", {.content = Slurp(kImages + "palette.png")});
    server_.Put("/other/2.png", {.content = Slurp(kImages + "grey.png")});
    std::filesystem::create_directories(sweep_ / "set/cats");
    std::filesystem::copy(kImages + "rgb.png", sweep_ / "set/a dog.png");
    std::filesystem::copy(kImages + "palette.png", sweep_ / "set/cats/1.png");
    std::filesystem::copy(kImages + "grey.png", sweep_ / "set/2.png");
    WriteBytes(sweep_ / "set/list.csv",
               "path,label\na dog.png,dog\n./cats//1.png,cat\n2.png,dog\n");
  }

  static void WriteBytes(const std::string& path, const std::string& content) {
    std::ofstream(path, std::ios::binary) << content;
  }
  static worker::v1::Task Inspect(const std::string& uri) {
    worker::v1::Task task = InspectDataSetTaskOf(uri);
    v1::ImageTransform* const transform =
        task.mutable_inspect_data_set()->mutable_data_set()->mutable_image_transform();
    transform->set_resize_height(4);
    transform->set_resize_width(4);
    return task;
  }
  // Of a manifest of this text, on the web server.
  worker::v1::Task InspectListOf(const std::string& text, const std::string& name = "list.csv") {
    server_.Put("/set/" + name,
                {.content = text, .entity_tag = absl::StrCat("\"", ++lists_, "\"")});
    return Inspect(server_.Url("/set/" + name));
  }
  std::string DigestOf(const worker::v1::Task& task) {
    return Run(task).result.data_set().digest();
  }

  static inline const std::string kImages = "tests/server/worker/dataset/data/";
  int lists_ = 0;
};

TEST_F(RemoteManifestTest, IsTheDataSetOfLocalFiles) {
  const std::string expected = DigestOf(Inspect(sweep_ / "set/list.csv"));
  const std::string elsewhere = server_.Url("/other/2.png");
  EXPECT_EQ(DigestOf(InspectListOf("path,label\na dog.png,dog\n./cats//1.png,cat\n" + elsewhere +
                                   ",dog\n")),
            expected);
  EXPECT_EQ(DigestOf(InspectListOf(
                R"({"path": "a dog.png", "label": "dog"}
                   {"path": "cats/1.png", "label": "cat"}
                   {"path": ")" +
                    elsewhere + R"(", "label": "dog"})",
                "list.jsonl")),
            expected);
  // A manifest that is here, with some files that are not.
  WriteBytes(sweep_ / "set/mixed.csv",
             "path,label\na dog.png,dog\ncats/1.png,cat\n" + elsewhere + ",dog\n");
  EXPECT_EQ(DigestOf(Inspect(sweep_ / "set/mixed.csv")), expected);
  hub_.Commit("datasets/org/set", "main", commit_,
              {{"v1/list.csv", Slurp(sweep_ / "set/list.csv")},
               {"v1/a dog.png", Slurp(kImages + "rgb.png")},
               {"v1/cats/1.png", Slurp(kImages + "palette.png")},
               {"v1/2.png", Slurp(kImages + "grey.png")}});
  const auto found = Run(Inspect("hf://datasets/org/set/v1/list.csv")).result.data_set();
  EXPECT_EQ(found.digest(), expected);
  EXPECT_EQ(found.pinned_uri(), "hf://datasets/org/set@" + commit_ + "/v1/list.csv");
}

TEST_F(RemoteManifestTest, FoldersThatNoTaskReadsLeaveTheCache) {
  const std::string image = Slurp(kImages + "rgb.png");
  for (const char* name : {"a", "b"}) {
    hub_.Commit(
        absl::StrCat("datasets/org/", name), "main", commit_,
        {{"x/0.png", image}, {"x/1.png", image}, {absl::StrCat("y/", name, ".png"), image}});
  }
  max_cache_bytes_ = 100;  // of 3 × 48: streamed
  max_download_bytes_ = 4 * image.size();
  Restart();
  const auto folders = [&] {
    int count = 0;
    for (const auto& entry :
         std::filesystem::directory_iterator(sweep_ / "cache/downloads/folders")) {
      count += entry.path().extension() == ".folder" ? 1 : 0;
    }
    return count;
  };
  const std::string digest = DigestOf(Inspect("hf://datasets/org/a"));
  EXPECT_EQ(folders(), 1);
  EXPECT_EQ(DigestOf(Inspect("hf://datasets/org/b")), digest);
  EXPECT_EQ(folders(), 1) << "there is no room for both, and no task reads the first";
  EXPECT_EQ(DigestOf(Inspect("hf://datasets/org/a")), digest) << "it is brought again";
}

TEST_F(RemoteManifestTest, LinesOfNumbersNeedNoOtherFiles) {
  const std::string text = "{\"x\": [1, 2], \"label\": 0}\n{\"x\": [3, 4], \"label\": 1}\n";
  server_.Put("/set/rows.jsonl", {.content = text});
  WriteBytes(sweep_ / "set/rows.jsonl", text);
  EXPECT_EQ(DigestOf(InspectDataSetTaskOf(server_.Url("/set/rows.jsonl"))),
            DigestOf(InspectDataSetTaskOf(sweep_ / "set/rows.jsonl")));
}

TEST_F(RemoteManifestTest, AnImageThatChangesIsNoticedThoughTheManifestDoesNot) {
  const worker::v1::Task task = InspectListOf("path,label\na dog.png,0\ncats/1.png,1\n");
  const std::string first = DigestOf(task);
  EXPECT_EQ(DigestOf(task), first);
  server_.Put("/set/cats/1.png", {.content = Slurp(kImages + "grey.png"), .entity_tag = "\"2\""});
  EXPECT_NE(DigestOf(task), first);
}

TEST_F(RemoteManifestTest, AnErrorSaysWhichLineAndWhy) {
  struct Case {
    const char* line;
    const char* reason;
    const char* says;
  };
  const Case cases[] = {
      {"none.png", "IMAGE_UNREADABLE", "line 3: none.png: there is no such file"},
      {"../other/2.png", "DATA_SET_INVALID", "line 3: ../other/2.png: '..' is not allowed"},
      {"/other/2.png", "DATA_SET_INVALID", "relative to the manifest's folder"},
      {"a\\..\\b.png", "DATA_SET_INVALID", "line 3"},
      {"https://elsewhere.example/a.png", "PATH_NOT_ALLOWED",
       "line 3: https://elsewhere.example/a.png: "},
      {"http://user:secret@127.0.0.1/a.png", "INVALID_FIELD", "line 3"},
      {"s3://bucket/a.png", "PATH_NOT_ALLOWED", "line 3: s3://bucket/a.png: "},
  };
  for (const Case& c : cases) {
    const absl::Status status =
        StatusOf(InspectListOf(absl::StrCat("path,label\na dog.png,0\n", c.line, ",1\n")));
    EXPECT_EQ(GetErrorFacts(status).reason, c.reason) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(c.says));
    EXPECT_THAT(SerializeStatus(status), testing::Not(HasSubstr("secret")));
  }
  WriteBytes(sweep_ / "set/list.csv", "path,label\na dog.png,0\nhttps://elsewhere.example/a,1\n");
  EXPECT_EQ(GetErrorFacts(StatusOf(Inspect(sweep_ / "set/list.csv"))).reason, "PATH_NOT_ALLOWED");
  Restart(/*with_remote_files=*/false);
  EXPECT_EQ(GetErrorFacts(StatusOf(Inspect(sweep_ / "set/list.csv"))).reason, "NOT_IMPLEMENTED");
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
