// Files that a list names as one unit: of any stores, each of one version.
#include <atomic>
#include <map>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/server/storage/remote_files_test.h"
#include "tests/support/folder_contents.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

class FetchFilesTest : public RemoteFilesTest {
 protected:
  FetchFilesTest() { access_.hf_endpoint = hub_.endpoint(); }

  // Under `name`, on the web server.
  void Serve(const std::string& name, const std::string& content, const std::string& tag = "1") {
    server_.Put("/set/" + name, {.content = content, .entity_tag = absl::StrCat("\"", tag, "\"")});
    Want(name, server_.Url("/set/" + name), content);
  }
  void Want(const std::string& name, const std::string& uri, const std::string& content) {
    wanted_.push_back({name, *ParseRemoteUri(uri)});
    contents_[name] = content;
  }
  absl::StatusOr<RemoteFiles::LocalFolder> FetchAll() {
    if (files_ == nullptr) files_ = Open();
    return files_->FetchFiles(wanted_, progress_);
  }
  void ExpectWhole() {
    const auto folder = FetchAll();
    ASSERT_TRUE(folder.ok()) << folder.status();
    EXPECT_EQ(FolderContents(folder->path), contents_);
  }

  HubServer hub_;
  const std::string first_ = std::string(40, '1'), second_ = std::string(40, '2');
  std::vector<RemoteFiles::NamedFile> wanted_;
  std::map<std::string, std::string> contents_;
};

TEST_F(FetchFilesTest, AreBroughtOnceAndLookedAtEachTime) {
  for (int i = 0; i < 20; ++i) Serve(absl::StrCat(i % 3, "/", i), SomeBytes(500 + i, i));
  Serve("empty", "");
  int64_t last = 0;
  progress_ = [&](int64_t done, int64_t) {
    last = std::max(last, done);
    return absl::OkStatus();
  };
  ExpectWhole();
  EXPECT_EQ(last, 20 * 500 + 19 * 10);
  EXPECT_EQ(CountRequests(/*for_parts=*/true), 20u);
  const std::string path = FetchAll()->path;
  EXPECT_EQ(CountRequests(/*for_parts=*/true), 20u) << "they are here";
  Serve("0/0", "another content of it", "2");
  wanted_.pop_back();
  ExpectWhole();
  EXPECT_NE(FetchAll()->path, path);
}

TEST_F(FetchFilesTest, OfSeveralStoresAreOneUnit) {
  std::map<std::string, std::string> hub_files;
  for (int i = 0; i < 12; ++i) hub_files[absl::StrCat("data/", i)] = SomeBytes(100, i);
  hub_files["data/a b%c"] = "a name that URIs must encode";
  hub_files["elsewhere/x"] = "not wanted";
  hub_.Commit("datasets/org/set", "main", first_, hub_files);
  for (const auto& [path, content] : hub_files) {
    if (path.rfind("data/", 0) != 0) continue;
    const RemoteUri root = *ParseRemoteFolder("hf://datasets/org/set");
    Want("hub/" + path, Below(root, path)->ToString(), content);
  }
  Serve("web", "of a web server");
  ExpectWhole();
  const auto asks_of = [&](const std::string& what) {
    size_t count = 0;
    for (const auto& request : hub_.http().requests()) {
      count += request.target.find(what) != std::string::npos;
    }
    return count;
  };
  const size_t looks = asks_of("/resolve/");
  ExpectWhole();
  EXPECT_EQ(asks_of("/resolve/"), looks) << "a listing tells that nothing changed";
  hub_.Commit("datasets/org/set", "main", second_, {{"data/1", "new"}});
  EXPECT_TRUE(absl::IsNotFound(FetchAll().status())) << "of the new commit there is no other";
}

TEST_F(FetchFilesTest, AnErrorSaysOfWhichFile) {
  Serve("here", "content");
  Want("folder/not_here", server_.Url("/none"), "");
  absl::Status status = FetchAll().status();
  EXPECT_TRUE(absl::IsNotFound(status)) << status;
  EXPECT_EQ(GetErrorFacts(status).metadata["file"], "folder/not_here");
  EXPECT_THAT(std::string(status.message()), HasSubstr("folder/not_here: "));
  wanted_.pop_back();
  server_.Put("/set/here", {.content = "content", .entity_tag = ""});
  status = FetchAll().status();
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_UNSUPPORTED") << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("tells its versions apart"));
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->Become(403); });
  EXPECT_EQ(GetErrorFacts(FetchAll().status()).reason, "SOURCE_FORBIDDEN");
}

TEST_F(FetchFilesTest, FilesThatChangeOnTheWayAreReadAgainAndNeverMixed) {
  for (int i = 0; i < 6; ++i) Serve(absl::StrCat(i), absl::StrCat("old ", i));
  std::atomic<int> replies = 0;
  server_.OnReply([&](const HttpServer::Request&, HttpServer::Reply* reply) {
    // Of the same size, in the middle of the second round of answers; from a server without ranges.
    if (++replies > 9 && reply->content != nullptr) {
      std::string content = *reply->content;
      content.replace(0, 3, "new");
      reply->Become(200, content);
      reply->fields["ETag"] = "\"2\"";
    }
  });
  for (int i = 0; i < 6; ++i) contents_[absl::StrCat(i)] = absl::StrCat("new ", i);
  ExpectWhole();
  server_.OnReply([&](const HttpServer::Request&, HttpServer::Reply* reply) {
    reply->fields["ETag"] = absl::StrCat("\"", ++replies, "\"");
  });
  EXPECT_EQ(GetErrorFacts(FetchAll().status()).reason, "CHECKPOINT_CHANGED");
}

TEST_F(FetchFilesTest, AVersionThatComesBackIsNotMixedWithTheOneBetween) {
  for (int i = 0; i < 3; ++i) Serve(absl::StrCat(i), absl::StrCat("first ", i));
  std::atomic<bool> is_between = false;
  std::atomic<int> replies = 0;
  server_.OnReply([&](const HttpServer::Request&, HttpServer::Reply* reply) {
    // Looked at as it was first, read as it is between.
    if (++replies > 3) is_between = true;
    if (!is_between || reply->content == nullptr) return;
    reply->fields["ETag"] = "\"between\"";
    std::string content = *reply->content;
    content.replace(0, 5, "other");
    reply->content = std::make_shared<const std::string>(content);
    if (replies > 6) reply->Become(403);
  });
  EXPECT_FALSE(FetchAll().ok());
  server_.OnReply(nullptr);
  ExpectWhole();
}

TEST_F(FetchFilesTest, BrokenLinesAreTriedAgain) {
  for (int i = 0; i < 10; ++i) Serve(absl::StrCat(i), SomeBytes(1000, i));
  absl::Mutex mutex;
  std::map<std::string, int> asked;
  server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    absl::MutexLock lock(&mutex);
    const int number = ++asked[request.target];
    if (number == 1) reply->Become(503);
    if (number == 3 && reply->size > 10) reply->break_after = 10;
  });
  ExpectWhole();
}

TEST_F(FetchFilesTest, TooManyBytesAreRefusedBeforeAnyComes) {
  for (int i = 0; i < 3; ++i) Serve(absl::StrCat(i), SomeBytes(4000, i));
  options_.max_bytes = 10'000;
  EXPECT_EQ(GetErrorFacts(FetchAll().status()).reason, "SOURCE_TOO_LARGE");
  EXPECT_EQ(CountRequests(/*for_parts=*/true), 0u);
  wanted_.resize(RemoteFiles::kMostFolderFiles + 1, wanted_.front());
  EXPECT_EQ(GetErrorFacts(FetchAll().status()).reason, "SOURCE_TOO_LARGE");
}

}  // namespace
}  // namespace stockpot
