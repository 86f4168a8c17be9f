// Jobs whose files are in an object store, over a server of our own that errs when told to. The
// result is that of local files, or the job ends with an error that says why. Real servers:
// object_store_test.cc.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/base/files.h"
#include "tests/e2e/sweep_elsewhere.h"
#include "tests/support/http_server/s3_server.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPlace[] = "s3://stockpot-test/sweep/";

class S3FaultTest : public SweepElsewhereTest {
 protected:
  S3FaultTest() {
    EXPECT_TRUE(WriteFileDurably(folder_ / "credentials",
                                 "[default]\naws_access_key_id=the-key\n"
                                 "aws_secret_access_key=the-secret-key\n")
                    .ok());
    for (const std::string& name : Names()) {
      store_.Put("stockpot-test", "sweep/" + name, ReadWhole(sweep_ / name));
    }
    store_.set_access_key("the-key");
  }

  std::unique_ptr<ServerProcess> Start() {
    return std::make_unique<ServerProcess>(
        ServerProcess::Options{.workers = 2,
                               .threads_per_worker = 1,
                               .allowed_roots = {},
                               .allowed_architecture_prefixes = {absl::StrCat(kPlace, "models/")},
                               .data_folder = absl::StrCat(folder_.path(), "/data", ++servers_),
                               .flags = {absl::StrCat("--allowed_uri_prefix=", kPlace),
                                         "--s3_endpoint=" + store_.endpoint(),
                                         "--s3_credentials_file=" + folder_ / "credentials"}});
  }

  TemporaryFolder folder_;
  S3Server store_;
  int servers_ = 0;
};

TEST_F(S3FaultTest, AJobFromAnObjectStoreGivesTheReportOfLocalFiles) {
  const auto server = Start();
  for (int run = 0; run < 2; ++run) {
    const v1::Job job = server->Run(SpecAt(kPlace));
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
    EXPECT_EQ(job.report().result().ingredients(1).uri(),
              absl::StrCat(kPlace, "good_1.safetensors"));
  }
  size_t reads = 0;
  for (const auto& request : store_.http().requests()) reads += request.method == "GET";
  EXPECT_EQ(reads, Names().size()) << "each was read once";
  // Nothing that was written holds a key.
  for (const auto& file : std::filesystem::recursive_directory_iterator(folder_ / "data1")) {
    if (!file.is_regular_file()) continue;
    EXPECT_THAT(ReadWhole(file.path()), Not(HasSubstr("the-secret-key"))) << file.path();
  }
  for (const pid_t worker : server->WorkerProcessIds()) {
    EXPECT_THAT(ReadWhole(absl::StrCat("/proc/", worker, "/cmdline")), Not(HasSubstr("the-key")));
  }
  EXPECT_EQ(server->Terminate(), 0);
}

TEST_F(S3FaultTest, APatternIsTheFilesThatMatchIt) {
  const auto server = Start();
  v1::JobSpec spec = SpecAt(kPlace);
  spec.clear_ingredients();
  spec.add_ingredients()->set_uri_pattern(absl::StrCat(kPlace, "good_[0-9].safetensors"));
  const v1::Job job = server->Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  EXPECT_EQ(job.spec().ingredients_size(), 1) << "the spec stays as it was given";
  EXPECT_EQ(job.report().result().ingredients(2).uri(), absl::StrCat(kPlace, "good_2.safetensors"));

  spec.mutable_ingredients(0)->set_uri_pattern(absl::StrCat(kPlace, "bad_*"));
  const v1::Job none = server->Run(spec);
  EXPECT_EQ(DetailsOf(none.error()).reason, "CHECKPOINT_NOT_FOUND");
  EXPECT_THAT(none.error().message(), HasSubstr("looked at 5 files"));
  for (const char* pattern : {"s3://other/*", "s3://stockpot-test/*", "/data/*"}) {
    spec.mutable_ingredients(0)->set_uri_pattern(pattern);
    EXPECT_EQ(DetailsOf(server->Run(spec).error()).reason, "PATH_NOT_ALLOWED") << pattern;
  }
}

TEST_F(S3FaultTest, AFolderOfImagesIsThatOfTheServer) {
  const char* const pictures[] = {"rgb.png", "palette.png", "cmyk.jpg",
                                  "444.jpg", "grey.png",    "lossy.webp"};
  for (size_t i = 0; i < std::size(pictures); ++i) {
    const std::string name = absl::StrCat("class_", i % 3, "/", pictures[i]);
    const std::string content =
        ReadWhole(absl::StrCat("tests/server/worker/dataset/data/", pictures[i]));
    std::filesystem::create_directories(folder_ / ("pictures/class_" + std::to_string(i % 3)));
    ASSERT_TRUE(WriteFileDurably(folder_ / ("pictures/" + name), content).ok());
    store_.Put("stockpot-test", "sweep/pictures/" + name, content);
  }
  v1::JobSpec spec;
  spec.mutable_model()->set_architecture_uri(
      std::filesystem::absolute("tests/support/models/image.pt").string());
  for (int i = 0; i < kIngredients; ++i) {
    std::vector<float> weight(3, 1.0f);
    weight[static_cast<size_t>(i)] = 1.5f;
    const std::string path = folder_ / absl::StrCat("picture_", i, ".safetensors");
    WriteSafetensors(path, {MakeTensor("weight", DType::kFloat32, {3}, weight)});
    spec.add_ingredients()->set_uri(path);
  }
  v1::DataSet* data = spec.mutable_evaluation()->mutable_held_out();
  data->mutable_image_transform()->set_resize_height(2);
  data->mutable_image_transform()->set_resize_width(2);
  ServerProcess server({.workers = 1,
                        .threads_per_worker = 1,
                        .flags = {absl::StrCat("--allowed_uri_prefix=", kPlace),
                                  "--s3_endpoint=" + store_.endpoint(),
                                  "--s3_credentials_file=" + folder_ / "credentials"}});
  std::vector<std::string> results;
  for (const std::string& uri : {folder_ / "pictures", absl::StrCat(kPlace, "pictures"),
                                 absl::StrCat(kPlace, "pictures/")}) {
    data->set_uri(uri);
    const v1::Job job = server.Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << uri << job.error().message();
    results.push_back(job.report().result().DebugString());
    EXPECT_EQ(results.back(), results.front()) << uri;
  }
}

TEST_F(S3FaultTest, FaultsOnTheWayChangeNoNumber) {
  using Fault = std::function<void(int number, const HttpServer::Request&, HttpServer::Reply*)>;
  struct Case {
    const char* what;
    const char* reason;  // of the job's error; "": it succeeds
    Fault fault;
  };
  const std::string slow_down = "<Error><Code>SlowDown</Code><Message>the-secret</Message></Error>";
  const Case cases[] = {
      {"busy now and then", "",
       [&](int number, const auto&, auto* reply) {
         if (number % 3 == 1) reply->Become(503, slow_down);
       }},
      {"breaks off", "",
       [](int number, const auto& request, auto* reply) {
         if (request.method == "GET" && number % 3 == 0) reply->break_after = reply->size / 2;
       }},
      {"bytes come slowly", "", [](int, const auto&, auto* reply) { reply->pause_ms = 100; }},
      {"breaks off after ten bytes, every time", "SOURCE_UNAVAILABLE",
       [](int, const auto& request, auto* reply) {
         const bool is_model = request.target.find("linear.pt") != std::string::npos;
         if (request.method == "GET" && is_model) reply->break_after = 10;
       }},
      {"always another version", "CHECKPOINT_CHANGED",
       [](int number, const auto&, auto* reply) {
         reply->fields["ETag"] = absl::StrCat("\"", number, "\"");
       }},
      {"forbidden", "SOURCE_FORBIDDEN",
       [&](int, const auto&, auto* reply) {
         reply->Become(403,
                       "<Error><Code>AccessDenied</Code><Message>the-secret</Message></Error>");
       }},
      {"not there", "CHECKPOINT_NOT_FOUND",
       [&](int, const auto& request, auto* reply) {
         if (request.target.find("good_1") != std::string::npos) reply->Become(404);
       }},
  };
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    const auto server = Start();
    std::atomic<int> requests = 0;
    store_.OnFault([&](const auto& request, auto* reply) { c.fault(++requests, request, reply); });
    const v1::Job job = server->Run(SpecAt(kPlace));
    store_.OnFault(nullptr);
    EXPECT_THAT(job.DebugString(), Not(HasSubstr("the-secret")));
    if (*c.reason != '\0') {
      EXPECT_EQ(job.state(), v1::Job::FAILED);
      EXPECT_EQ(DetailsOf(job.error()).reason, c.reason) << job.error().message();
      continue;
    }
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(WithoutUris(job.report().result()), LocalResult());
  }
}

}  // namespace
}  // namespace stockpot
