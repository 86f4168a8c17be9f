// What tests of s3:// have in common: a server, the stores over it, a cache folder, no waiting.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_STORAGE_OBJECT_STORE_S3_STORE_TEST_H_
#define STOCKPOT_TESTS_SERVER_STORAGE_OBJECT_STORE_S3_STORE_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "server/base/clock.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/object_store/object_stores.h"
#include "server/storage/remote_files.h"
#include "tests/support/http_server/s3_server.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

class S3StoreTest : public testing::Test {
 protected:
  static constexpr size_t kPart = 64 << 10;

  S3StoreTest() {
    access_.allowed_uri_prefixes = {"s3://bucket/"};
    access_.s3_endpoint = server_.endpoint();
    access_.s3_credentials_file = folder_ / "credentials";
    EXPECT_TRUE(WriteFileDurably(access_.s3_credentials_file,
                                 "# keys\n[other]\naws_access_key_id = nobody\n"
                                 "[default]\naws_access_key_id = the-key\n"
                                 "aws_secret_access_key=the-secret\n")
                    .ok());
    options_.cache_folder = folder_ / "cache";
    options_.download.part_bytes = kPart;
    options_.download.sleep = [](absl::Duration) {};
    objects_options_.read_bytes = kPart / 2;
  }

  absl::StatusOr<std::unique_ptr<RemoteFiles>> Open() {
    files_.reset();  // what it reads by goes
    objects_ = std::make_unique<ObjectStores>(objects_options_);
    ASSIGN_OR_RETURN(RemoteFiles::Stores stores, objects_->Open(access_));
    return OpenRemoteFiles(access_, options_, &clock_, nullptr, std::move(stores));
  }
  absl::StatusOr<RemoteFiles::LocalCopy> Fetch(const std::string& uri) {
    if (files_ == nullptr) {
      ASSIGN_OR_RETURN(files_, Open());
    }
    return files_->Fetch(uri, Purpose::kData, Unwatched);
  }
  // The file's content, or "ERROR: …".
  std::string Content(const std::string& uri) {
    const auto copy = Fetch(uri);
    if (!copy.ok()) return "ERROR: " + copy.status().ToString();
    const absl::StatusOr<std::string> content = ReadSmallFile(copy->path, 1 << 30);
    return content.ok() ? *content : "ERROR: " + content.status().ToString();
  }
  std::string ReasonOf(const std::string& uri) { return GetErrorFacts(Fetch(uri).status()).reason; }

  static std::string SomeBytes(size_t size, uint32_t seed = 1) {
    std::string bytes(size, '\0');
    for (char& byte : bytes) {
      seed = seed * 1664525 + 1013904223;
      byte = static_cast<char>(seed >> 24);
    }
    return bytes;
  }

  S3Server server_;
  TemporaryFolder folder_;
  SystemClock clock_;
  RemoteAccess access_;
  RemoteFiles::Options options_;
  ObjectStoreOptions objects_options_;
  std::unique_ptr<ObjectStores> objects_;  // outlives files_
  std::unique_ptr<RemoteFiles> files_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_STORAGE_OBJECT_STORE_S3_STORE_TEST_H_
