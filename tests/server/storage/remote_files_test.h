// What tests of remote files have in common: a server, a cache folder, no waiting.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_TESTS_SERVER_STORAGE_REMOTE_FILES_TEST_H_
#define STOCKPOT_TESTS_SERVER_STORAGE_REMOTE_FILES_TEST_H_

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "server/base/clock.h"
#include "server/base/digest.h"
#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/remote_files.h"
#include "tests/support/http_server/http_server.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {

// A content, of which a failing test prints no more than anybody reads.
class Bytes : public std::string {
 public:
  Bytes() = default;
  explicit Bytes(std::string bytes) : std::string(std::move(bytes)) {}

  friend void PrintTo(const Bytes& bytes, std::ostream* out) {
    *out << bytes.size() << " bytes of SHA-256 " << Sha256Hex(bytes);
    if (bytes.size() < 1000) *out << ": " << static_cast<const std::string&>(bytes);
  }
};

// Without a pattern that a mistake in an offset could hide in.
inline Bytes SomeBytes(size_t size, uint32_t seed = 1) {
  Bytes bytes(std::string(size, '\0'));
  uint32_t state = seed;
  for (char& byte : bytes) {
    state = state * 1664525 + 1013904223;
    byte = static_cast<char>(state >> 24);
  }
  return bytes;
}

class RemoteFilesTest : public testing::Test {
 protected:
  static constexpr size_t kPart = 64 << 10;

  RemoteFilesTest() {
    access_.allowed_uri_prefixes = {server_.Url("/")};
    access_.allowed_private_hosts = {"127.0.0.1"};
    options_.cache_folder = folder_ / "cache";
    options_.download.part_bytes = kPart;
    options_.download.sleep = [this](absl::Duration duration) {
      waited_ms_ += absl::ToInt64Milliseconds(duration);
      absl::SleepFor(absl::Milliseconds(1));  // a moment, for what a moment mends
    };
  }

  std::unique_ptr<RemoteFiles> Open() {
    auto files = OpenRemoteFiles(access_, options_, &clock_, nullptr);
    EXPECT_TRUE(files.ok()) << files.status();
    return files.ok() ? *std::move(files) : nullptr;
  }

  absl::StatusOr<RemoteFiles::LocalCopy> Fetch(const std::string& uri,
                                               Purpose purpose = Purpose::kData) {
    if (files_ == nullptr) files_ = Open();
    return files_->Fetch(uri, purpose, progress_);
  }
  // The content of a file of the server, or "ERROR: …".
  Bytes Content(const std::string& path) { return ContentOf(Fetch(server_.Url(path))); }
  static Bytes ContentOf(const absl::StatusOr<RemoteFiles::LocalCopy>& copy) {
    if (!copy.ok()) return Bytes("ERROR: " + copy.status().ToString());
    absl::StatusOr<std::string> content = ReadSmallFile(copy->path, 1 << 30);
    return Bytes(content.ok() ? *content : "ERROR: " + content.status().ToString());
  }
  // The reason of a failure that must be of this code.
  std::string ReasonOf(const std::string& path, absl::StatusCode code) {
    const absl::Status status = Fetch(server_.Url(path)).status();
    EXPECT_EQ(status.code(), code) << status;
    return GetErrorFacts(status).reason;
  }

  // Finished files, or those with another ending.
  size_t CountFiles(const std::string& ending = ".file") {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
      count += entry.path().extension() == ending;
    }
    return count;
  }
  size_t CountRequests(bool for_parts) {
    size_t count = 0;
    for (const HttpServer::Request& request : server_.requests()) {
      const auto range = request.fields.find("range");
      count += for_parts == (range != request.fields.end() && range->second != "bytes=0-0");
    }
    return count;
  }

  HttpServer server_;
  TemporaryFolder folder_;
  SystemClock clock_;
  RemoteAccess access_;
  RemoteFiles::Options options_;
  Progress progress_ = Unwatched;
  std::atomic<int64_t> waited_ms_{0};
  std::unique_ptr<RemoteFiles> files_;
};

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SERVER_STORAGE_REMOTE_FILES_TEST_H_
