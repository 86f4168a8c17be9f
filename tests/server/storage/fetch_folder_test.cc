// Whole folders of other machines as one unit: complete, of one listing, or not there.
#include <atomic>
#include <map>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/server/storage/remote_files_test.h"
#include "tests/support/folder_contents.h"
#include "tests/support/http_server/hub_server.h"

namespace stockpot {
namespace {

class FetchFolderTest : public RemoteFilesTest {
 protected:
  FetchFolderTest() {
    access_.hf_endpoint = hub_.endpoint();
    for (int i = 0; i < 40; ++i) {
      files_of_[absl::StrCat("images/", i % 3, "/", i, ".jpg")] = SomeBytes(1000 + i, i);
    }
    files_of_["images/empty.txt"] = "";
    files_of_["README.md"] = "not of it";
    hub_.Commit("datasets/org/set", "main", first_, files_of_);
  }

  absl::StatusOr<RemoteFiles::LocalFolder> FetchAll(const std::string& uri) {
    if (files_ == nullptr) files_ = Open();
    return files_->FetchFolder(uri, progress_);
  }
  std::map<std::string, std::string> Images() const {
    std::map<std::string, std::string> images;
    for (const auto& [path, content] : files_of_) {
      if (path.rfind("images/", 0) == 0) images[path.substr(7)] = content;
    }
    return images;
  }
  size_t CountFolders() {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache/folders")) {
      count += entry.path().extension() == ".folder";
    }
    return count;
  }

  const std::string first_ = std::string(40, '1'), second_ = std::string(40, '2');
  std::map<std::string, std::string> files_of_;
  HubServer hub_;
};

TEST_F(FetchFolderTest, IsWholePinnedAndBroughtOnce) {
  hub_.set_page_size(7);
  int64_t last = 0;
  progress_ = [&](int64_t done, int64_t) {
    EXPECT_GE(done == 0 ? last : done, last);
    last = std::max(last, done);
    return absl::OkStatus();
  };
  const auto folder = FetchAll("hf://datasets/org/set/images/");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(folder->pinned_uri, "hf://datasets/org/set@" + first_ + "/images");
  EXPECT_EQ(FolderContents(folder->path), Images());
  EXPECT_EQ(last, 40 * 1000 + 39 * 20);
  progress_ = Unwatched;
  const size_t requests = hub_.http().requests().size();
  EXPECT_EQ(FetchAll("hf://datasets/org/set/images")->path, folder->path);
  EXPECT_LE(hub_.http().requests().size(), requests + 8) << "the commit and the listing";
  hub_.Commit("datasets/org/set", "main", second_, {{"images/0/0.jpg", "new"}});
  const auto moved = FetchAll("hf://datasets/org/set/images");
  ASSERT_TRUE(moved.ok()) << moved.status();
  EXPECT_EQ(FolderContents(moved->path), (std::map<std::string, std::string>{{"0/0.jpg", "new"}}));
}

TEST_F(FetchFolderTest, BrokenLinesAreTriedAgainAndWhatCameStays) {
  // Of each file the first answers, so that six tries always do.
  absl::Mutex mutex;
  std::map<std::string, int> asked;
  hub_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.target.rfind("/cdn/", 0) != 0) return;
    absl::MutexLock lock(&mutex);
    const int number = ++asked[request.target];
    const size_t kind = std::hash<std::string>()(request.target) % 3;
    if (kind == 0 && number <= 2) reply->Become(503);
    if (kind == 1 && number == 2 && reply->size > 100) reply->break_after = 100;
  });
  const auto folder = FetchAll("hf://datasets/org/set/images");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(FolderContents(folder->path), Images());
}

TEST_F(FetchFolderTest, ADownloadThatEndsInTheMiddleIsGoneOnWith) {
  std::atomic<int> reads = 0;
  std::atomic<bool> is_broken = true;
  const auto reads_of = [](const HttpServer::Request& request) {
    return request.target.rfind("/cdn/", 0) == 0 && request.fields.at("range") != "bytes=0-0";
  };
  hub_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (reads_of(request) && ++reads > 20 && is_broken) reply->Become(403);
  });
  options_.folder_connections = 1;
  EXPECT_EQ(GetErrorFacts(FetchAll("hf://datasets/org/set/images").status()).reason,
            "SOURCE_FORBIDDEN");
  EXPECT_EQ(CountFolders(), 0u);
  is_broken = false;
  reads = 0;
  files_ = nullptr;
  const auto folder = FetchAll("hf://datasets/org/set/images");
  ASSERT_TRUE(folder.ok()) << folder.status();
  EXPECT_EQ(FolderContents(folder->path), Images());
  EXPECT_EQ(reads, 20) << "the others were there";
}

TEST_F(FetchFolderTest, ADamagedFileIsNoPartOfIt) {
  hub_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.target.rfind("/cdn/", 0) != 0 || reply->content == nullptr) return;
    std::string damaged = *reply->content;
    for (char& c : damaged) c = static_cast<char>(c + 1);
    reply->content = std::make_shared<const std::string>(damaged);
  });
  const auto folder = FetchAll("hf://datasets/org/set/images");
  EXPECT_EQ(GetErrorFacts(folder.status()).reason, "SOURCE_DAMAGED") << folder.status();
  EXPECT_EQ(CountFolders(), 0u);
}

TEST_F(FetchFolderTest, WhatCannotBeIsSaid) {
  EXPECT_TRUE(absl::IsNotFound(FetchAll("hf://datasets/org/set/none").status()));
  EXPECT_EQ(GetErrorFacts(FetchAll(server_.Url("/folder")).status()).reason, "SOURCE_UNSUPPORTED");
  options_.max_bytes = 10'000;
  files_ = nullptr;
  EXPECT_EQ(GetErrorFacts(FetchAll("hf://datasets/org/set/images").status()).reason,
            "SOURCE_TOO_LARGE");
}

TEST_F(FetchFolderTest, TheLeastRecentlyUsedGoFirstButWhatIsUsedStays) {
  for (int i = 0; i < 4; ++i) {
    hub_.Commit(absl::StrCat("datasets/org/set", i), "main", first_, {{"a/x", SomeBytes(4000, i)}});
  }
  options_.max_bytes = 9000;
  const auto used = FetchAll("hf://datasets/org/set0/a");
  ASSERT_TRUE(used.ok()) << used.status();
  const std::string unused = FetchAll("hf://datasets/org/set1/a")->path;
  EXPECT_EQ(CountFolders(), 2u);
  ASSERT_TRUE(FetchAll("hf://datasets/org/set2/a").ok());
  EXPECT_EQ(CountFolders(), 2u);
  EXPECT_FALSE(std::filesystem::exists(unused));
  EXPECT_EQ(FolderContents(used->path).size(), 1u);
  EXPECT_TRUE(FetchAll("hf://datasets/org/set1/a").ok()) << "it is brought again";
}

TEST(PathBelow, IsAPathOfNamesOnly) {
  for (const char* path : {"a", "a/b.jpg", ".a/..b", "a b"}) EXPECT_TRUE(IsPathBelow(path)) << path;
  for (const std::string path : {"", "/a", "a/", "a//b", ".", "..", "a/../b", "a/./b"}) {
    EXPECT_FALSE(IsPathBelow(path)) << path;
  }
  EXPECT_FALSE(IsPathBelow(std::string("a\0b", 3)));
  EXPECT_FALSE(IsPathBelow(std::string(256, 'a')));
}

}  // namespace
}  // namespace stockpot
