// Whole folders of an object store, which nothing pins.
#include <atomic>
#include <filesystem>
#include <map>
#include <thread>

#include "absl/strings/str_cat.h"
#include "tests/server/storage/object_store/s3_store_test.h"
#include "tests/support/folder_contents.h"

namespace stockpot {
namespace {

class S3FolderTest : public S3StoreTest {
 protected:
  S3FolderTest() {
    for (int i = 0; i < 10; ++i) {
      server_.Put("bucket", absl::StrCat("images/c", i % 2, "/", i, ".jpg"), Content(i));
    }
  }
  static std::string Content(int i) { return SomeBytes(100 + static_cast<size_t>(i), 7); }

  absl::StatusOr<RemoteFiles::LocalFolder> FetchAll() {
    if (files_ == nullptr) {
      ASSIGN_OR_RETURN(files_, Open());
    }
    return files_->FetchFolder("s3://bucket/images", Unwatched);
  }
};

TEST_F(S3FolderTest, IsWholeAndBroughtOnce) {
  server_.set_page_size(4);
  const auto folder = FetchAll();
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto found = FolderContents(folder->path);
  EXPECT_EQ(found.size(), 10u);
  EXPECT_EQ(found.at("c1/3.jpg"), Content(3));
  const size_t requests = server_.http().requests().size();
  EXPECT_EQ(FetchAll()->path, folder->path);
  EXPECT_LE(server_.http().requests().size(), requests + 4) << "the listing alone";
}

TEST_F(S3FolderTest, WhatChangesMeanwhileIsReadAgain) {
  std::atomic<int> reads = 0;
  server_.OnFault([&](const HttpServer::Request& request, HttpServer::Reply*) {
    if (request.method == "GET" && request.fields.count("range") > 0) ++reads;
  });
  // After the first listing a file grows.
  std::atomic<bool> is_listed = false;
  std::thread writer([&] {
    while (reads < 1) std::this_thread::yield();
    server_.Put("bucket", "images/c0/0.jpg", Content(50));
    is_listed = true;
  });
  const auto folder = FetchAll();
  reads = 100;
  writer.join();
  ASSERT_TRUE(folder.ok()) << folder.status();
  const auto again = FetchAll();
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(FolderContents(again->path).at("c0/0.jpg"), Content(50));
}

TEST_F(S3FolderTest, AFileThatIsAFolderTooIsSaid) {
  server_.Put("bucket", "images/c0", "a file");
  const auto folder = FetchAll();
  EXPECT_FALSE(folder.ok());
}

}  // namespace
}  // namespace stockpot
