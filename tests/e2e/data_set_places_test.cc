// One real data set through every format and every place: the same digest, and the same report to
// the last count, as of local files.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "server/base/files.h"
#include "tests/e2e/digit_sets.h"
#include "tests/support/folder_contents.h"
#include "tests/support/http_server/hub_server.h"
#include "tests/support/http_server/s3_server.h"
#include "tests/support/server_process/server_process.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

class DataSetPlacesTest : public testing::Test {
 protected:
  DataSetPlacesTest() {
    const std::map<std::string, std::string> files = FolderContents(sets_.folder());
    for (const auto& [name, content] : files) {
      web_.Put("/sets/" + name, {.content = content});
      store_.Put("digits", "sets/" + name, content);
    }
    std::map<std::string, std::string> committed;
    for (const auto& [name, content] : files) committed["sets/" + name] = content;
    hub_.Commit("datasets/org/digits", "main", std::string(40, 'd'), committed);
    store_.set_page_size(100);
    EXPECT_TRUE(WriteFileDurably(keys_ / "credentials",
                                 "[default]\naws_access_key_id=key\naws_secret_access_key=secret\n")
                    .ok());
    Start({});
  }

  void Start(std::vector<std::string> flags) {
    flags.insert(
        flags.end(),
        {"--allowed_uri_prefix=" + web_.Url("/sets/"), "--allowed_uri_prefix=s3://digits/sets/",
         "--allowed_uri_prefix=hf://datasets/org/", "--allowed_private_host=127.0.0.1",
         "--hf_endpoint=" + hub_.endpoint(), "--s3_endpoint=" + store_.endpoint(),
         "--s3_credentials_file=" + keys_ / "credentials"});
    server_ = std::make_unique<ServerProcess>(
        ServerProcess::Options{.workers = 1,
                               .allowed_roots = {sets_.folder()},
                               .allowed_architecture_prefixes =
                                   {std::filesystem::absolute("tests/support/models").string()},
                               .flags = std::move(flags)});
  }

  void ExpectTheSameEverywhere();

  v1::DataSetDescription Inspect(const v1::DataSet& set) {
    v1::InspectSourceRequest request;
    *request.mutable_data_set() = set;
    v1::InspectSourceResponse response;
    grpc::ClientContext context;
    const grpc::Status status = server_->stub().InspectSource(&context, request, &response);
    EXPECT_TRUE(status.ok()) << set.uri() << ": " << status.error_message();
    return response.data_set();
  }

  const DigitSets sets_;
  const TemporaryFolder keys_;
  HttpServer web_;
  S3Server store_;
  HubServer hub_;
  std::unique_ptr<ServerProcess> server_;
};

void DataSetPlacesTest::ExpectTheSameEverywhere() {
  const std::string places[] = {sets_.folder() + "/", web_.Url("/sets/"), "s3://digits/sets/",
                                "hf://datasets/org/digits/sets/"};
  std::string digest, report;
  int runs = 0;
  for (const std::string& place : places) {
    for (const DigitSets::Source& source : DigitSets::Sources()) {
      const v1::DataSet set = DigitSets::DataSetOf(source, place);
      const bool is_folder = std::filesystem::is_directory(sets_.Path(source.uri));
      if (is_folder && absl::StartsWith(place, "http")) continue;  // has none
      const v1::Job job = server_->Run(sets_.Spec(set));
      ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << set.uri() << ": " << job.error().message();
      const std::string text = job.report().result().DebugString();
      if (report.empty()) report = text;
      EXPECT_EQ(text, report) << set.uri();
      const v1::DataSetDescription found = Inspect(set);
      if (digest.empty()) digest = found.digest();
      EXPECT_EQ(found.digest(), digest) << set.uri();
      ++runs;
    }
  }
  EXPECT_EQ(runs, 8 + 5 + 8 + 8);
}

TEST_F(DataSetPlacesTest, EveryPlaceGivesTheReportOfLocalFilesInEveryFormat) {
  ExpectTheSameEverywhere();
}

TEST_F(DataSetPlacesTest, AlsoWhereNoSetFitsTheCache) {
  Start({"--max_data_cache_bytes=1000"});
  ExpectTheSameEverywhere();
}

TEST_F(DataSetPlacesTest, AManifestMayNameFilesOfOtherPlaces) {
  std::string text = "file_name,label\n";
  const std::string places[] = {"", "s3://digits/sets/folder/",
                                "hf://datasets/org/digits@main/sets/folder/"};
  size_t line = 0;
  for (const auto& [name, content] : FolderContents(sets_.Path("folder"))) {
    if (!absl::EndsWith(name, ".png")) continue;
    absl::StrAppend(&text, places[line++ % 3], name, ",", name.substr(0, 1), "\n");
  }
  const std::string expected =
      Inspect(DigitSets::DataSetOf({"folder"}, sets_.folder() + "/")).digest();
  WriteBytes(sets_.Path("folder/mixed.csv"), text);
  web_.Put("/sets/folder/mixed.csv", {.content = text});
  for (const std::string& place : {sets_.folder() + "/", web_.Url("/sets/")}) {
    EXPECT_EQ(Inspect(DigitSets::DataSetOf({"folder/mixed.csv"}, place)).digest(), expected);
  }
}

TEST_F(DataSetPlacesTest, FaultsOnTheWayToAManifestsFilesChangeNoNumber) {
  using Fault = std::function<void(int, const HttpServer::Request&, HttpServer::Reply*)>;
  struct Case {
    const char* what;
    const char* reason;  // "": the job succeeds
    Fault fault;
  };
  const Case cases[] = {
      {"busy now and then", "",
       [](int number, const auto&, auto* reply) {
         if (number % 31 == 1) reply->Become(503, {{"Retry-After", "0"}});
       }},
      {"breaks off now and then", "",
       [](int number, const auto& request, auto* reply) {
         const bool is_read = request.fields.at("range") != "bytes=0-0";
         if (is_read && number % 37 == 1) reply->break_after = reply->size / 2;
       }},
      {"one is not there", "IMAGE_UNREADABLE",
       [](int, const auto& request, auto* reply) {
         if (absl::EndsWith(request.target, "/3/0101.png")) reply->Become(404);
       }},
      {"one is damaged on the way", "IMAGE_UNREADABLE",
       [](int, const auto& request, auto* reply) {
         if (!absl::EndsWith(request.target, "/3/0101.png") || reply->content == nullptr) return;
         std::string damaged = *reply->content;
         damaged[damaged.size() / 2] ^= 1;
         reply->content = std::make_shared<const std::string>(damaged);
       }},
      {"always another version", "CHECKPOINT_CHANGED",
       [](int number, const auto& request, auto* reply) {
         if (absl::EndsWith(request.target, ".png")) {
           reply->fields["ETag"] = absl::StrCat("\"", number, "\"");
         }
       }},
      {"forbidden", "SOURCE_FORBIDDEN",
       [](int, const auto& request, auto* reply) {
         if (absl::EndsWith(request.target, ".png")) reply->Become(403);
       }},
  };
  const auto spec_at = [&](const std::string& place) {
    return sets_.Spec(DigitSets::DataSetOf({"folder/list.csv"}, place));
  };
  const v1::Job local = server_->Run(spec_at(sets_.folder() + "/"));
  ASSERT_EQ(local.state(), v1::Job::SUCCEEDED) << local.error().message();
  int version = 1;
  for (const Case& c : cases) {
    SCOPED_TRACE(c.what);
    // Nothing that is here already will do.
    ++version;
    for (const auto& [name, content] : FolderContents(sets_.Path("folder"))) {
      web_.Put("/sets/folder/" + name,
               {.content = content, .entity_tag = absl::StrCat("\"v", version, "\"")});
    }
    std::atomic<int> requests = 0;
    web_.OnReply([&](const auto& request, auto* reply) { c.fault(++requests, request, reply); });
    const v1::Job job = server_->Run(spec_at(web_.Url("/sets/")));
    web_.OnReply(nullptr);
    if (*c.reason != '\0') {
      EXPECT_EQ(job.state(), v1::Job::FAILED);
      EXPECT_EQ(DetailsOf(job.error()).reason, c.reason) << job.error().message();
      continue;
    }
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    EXPECT_EQ(job.report().result().DebugString(), local.report().result().DebugString());
  }
}

}  // namespace
}  // namespace stockpot
