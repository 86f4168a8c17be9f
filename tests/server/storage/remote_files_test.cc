#include "tests/server/storage/remote_files_test.h"

#include <openssl/evp.h>
#include <sys/stat.h>

#include <map>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

bool IsPartRequest(const HttpServer::Request& request) {
  const auto range = request.fields.find("range");
  return range != request.fields.end() && range->second != "bytes=0-0";
}

TEST_F(RemoteFilesTest, BringsEveryByteInPartsAndOnce) {
  for (const size_t size : {size_t{0}, size_t{1}, kPart - 1, kPart, kPart + 1, 9 * kPart + 7}) {
    const std::string path = absl::StrCat("/f", size);
    server_.Put(path, {.content = SomeBytes(size)});
    EXPECT_EQ(Content(path), SomeBytes(size)) << size;
  }
  const size_t requests = server_.requests().size();
  EXPECT_EQ(Content("/f1"), SomeBytes(1));
  EXPECT_EQ(server_.requests().size(), requests + 1) << "one look, for it may have changed";
  EXPECT_EQ(CountFiles(".resume"), 0u);
}

TEST_F(RemoteFilesTest, AsksForNoCompressionAndTellsProgress) {
  server_.Put("/a", {.content = SomeBytes(5 * kPart)});
  int64_t last = 0;
  bool grows = true;
  progress_ = [&](int64_t done, int64_t total) {
    grows = grows && (total == 0 || done >= last);
    last = done;
    return absl::OkStatus();
  };
  EXPECT_EQ(Content("/a"), SomeBytes(5 * kPart));
  EXPECT_TRUE(grows);
  EXPECT_EQ(last, 5 * int64_t{kPart});
  for (const HttpServer::Request& request : server_.requests()) {
    EXPECT_EQ(request.fields.at("accept-encoding"), "identity");
  }
}

TEST_F(RemoteFilesTest, ACancelledTaskEndsTheDownload) {
  server_.Put("/a", {.content = SomeBytes(8 * kPart)});
  server_.OnReply([](const auto& request, HttpServer::Reply* reply) {
    if (IsPartRequest(request)) reply->stall_after = 10;
  });
  progress_ = [](int64_t done, int64_t) {
    return done > 0 ? absl::CancelledError("cancelled") : absl::OkStatus();
  };
  EXPECT_EQ(Fetch(server_.Url("/a")).status().code(), absl::StatusCode::kCancelled);
}

TEST_F(RemoteFilesTest, AFileThatChangedUnderItsNameIsBroughtAgain) {
  server_.Put("/a", {.content = "old content"});
  EXPECT_EQ(Content("/a"), "old content");
  server_.Put("/a", {.content = "new content", .entity_tag = "\"2\""});
  EXPECT_EQ(Content("/a"), "new content");
  server_.Put("/a", {.content = "old content"});
  const size_t before = CountRequests(true);
  EXPECT_EQ(Content("/a"), "old content");
  EXPECT_EQ(CountRequests(true), before) << "it is still there";
}

TEST_F(RemoteFilesTest, AWeakTagWithADateTellsVersionsApartAndNothingTellsNothing) {
  const std::map<std::string, std::string> date = {
      {"Last-Modified", "Tue, 14 Nov 2023 22:13:20 GMT"}};
  server_.Put("/weak", {.content = SomeBytes(3 * kPart), .entity_tag = "W/\"1\"", .fields = date});
  EXPECT_EQ(Content("/weak"), SomeBytes(3 * kPart));
  EXPECT_EQ(Content("/weak"), SomeBytes(3 * kPart));
  EXPECT_EQ(CountRequests(true), 3u);
  server_.Put("/none", {.content = "one", .entity_tag = ""});
  EXPECT_EQ(Content("/none"), "one");
  server_.Put("/none", {.content = "two", .entity_tag = ""});
  EXPECT_EQ(Content("/none"), "two") << "never taken from the cache";
}

TEST_F(RemoteFilesTest, WithoutRangesItIsOneStream) {
  server_.Put("/a", {.content = SomeBytes(3 * kPart), .has_ranges = false});
  EXPECT_EQ(Content("/a"), SomeBytes(3 * kPart));
  server_.Put("/chunked", {.content = SomeBytes(3 * kPart, 2), .has_ranges = false});
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->is_chunked = true; });
  EXPECT_EQ(Content("/chunked"), SomeBytes(3 * kPart, 2));
  server_.Put("/endless", {.content = SomeBytes(kPart, 3), .has_ranges = false});
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->says_length = false; });
  EXPECT_EQ(ReasonOf("/endless", absl::StatusCode::kFailedPrecondition), "SOURCE_UNSUPPORTED")
      << "nobody could tell that it ended early";
}

TEST_F(RemoteFilesTest, AStreamThatBreaksOffBeginsAgain) {
  server_.Put("/a", {.content = SomeBytes(3 * kPart), .has_ranges = false});
  int whole = 0;
  server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (request.fields.count("range") == 0 && ++whole <= 2) reply->break_after = kPart + 5;
  });
  EXPECT_EQ(Content("/a"), SomeBytes(3 * kPart));
  EXPECT_EQ(whole, 3);
}

TEST_F(RemoteFilesTest, APartThatBreaksOffGoesOnWhereItWas) {
  server_.Put("/a", {.content = SomeBytes(4 * kPart)});
  std::map<std::string, int> by_range;
  server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (IsPartRequest(request) && ++by_range[request.fields.at("range")] == 1) {
      reply->break_after = reply->size / 2;
    }
  });
  // Each range is cut in half until one byte is left: more breaks than tries, but each got far.
  options_.download.retry.most_failures = 40;
  options_.download.retry.most_wait = absl::Seconds(1);
  EXPECT_EQ(Content("/a"), SomeBytes(4 * kPart));
  EXPECT_GT(by_range.size(), 30u);
  for (const auto& [range, count] : by_range) EXPECT_LE(count, 2) << range;
}

TEST_F(RemoteFilesTest, BusyServersAreAskedAgainAndLostOnesGivenUp) {
  server_.Put("/a", {.content = SomeBytes(2 * kPart)});
  std::map<std::string, int> by_range;
  for (const int status : {503, 429, 500, 408}) {
    by_range.clear();
    server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
      if (++by_range[request.fields.at("range")] <= 2) reply->Become(status);
    });
    std::filesystem::remove_all(folder_ / "cache");
    files_.reset();
    EXPECT_EQ(Content("/a"), SomeBytes(2 * kPart)) << status;
  }
  server_.OnReply([&](const auto& request, HttpServer::Reply* reply) {
    if (++by_range[request.fields.at("range")] % 2 == 1) {
      reply->Become(503, {{"Retry-After", "100"}});
    }
  });
  waited_ms_ = 0;
  by_range.clear();
  std::filesystem::remove_all(folder_ / "cache");
  files_.reset();
  EXPECT_EQ(Content("/a"), SomeBytes(2 * kPart));
  EXPECT_GE(waited_ms_, 300'000) << "as long as it asked for";

  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->Become(503); });
  EXPECT_EQ(ReasonOf("/a", absl::StatusCode::kUnavailable), "SOURCE_UNAVAILABLE");
  server_.OnReply([](const auto&, HttpServer::Reply* reply) {
    reply->Become(429, {{"Retry-After", "3600"}});
  });
  const absl::Status status = Fetch(server_.Url("/a")).status();
  EXPECT_EQ(GetErrorFacts(status).retry_after, absl::Hours(1)) << status;
}

TEST_F(RemoteFilesTest, NobodyListeningIsUnavailable) {
  const int port = [] { return HttpServer().port(); }();
  access_.allowed_uri_prefixes = {"http://127.0.0.1"};
  const absl::Status status = Fetch(absl::StrCat("http://127.0.0.1:", port, "/a")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(GetErrorFacts(status).reason, "SOURCE_UNAVAILABLE");
}

TEST_F(RemoteFilesTest, SlowBytesAreTakenUntilTheTimeIsUp) {
  server_.Put("/a", {.content = SomeBytes(8 << 10)});
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->pause_ms = 10; });
  EXPECT_EQ(Content("/a"), SomeBytes(8 << 10));
  server_.Put("/a", {.content = SomeBytes(80 << 10), .entity_tag = "\"2\""});
  options_.download.timeout = absl::Milliseconds(100);
  files_.reset();
  const absl::Status status = Fetch(server_.Url("/a")).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_THAT(status.ToString(), HasSubstr("longer than 100ms"));
}

TEST_F(RemoteFilesTest, PartsOfTwoVersionsAreNeverMixed) {
  const Bytes old_content = SomeBytes(6 * kPart, 1), new_content = SomeBytes(6 * kPart, 2);
  for (const bool ignores_if_range : {false, true}) {
    const std::string path = absl::StrCat("/", ignores_if_range);
    server_.Put(path, {.content = old_content});
    std::atomic<int> parts = 0;
    const auto other = std::make_shared<const std::string>(new_content);
    server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
      // Counted and looked at in one step: parts come at the same time.
      if ((IsPartRequest(request) ? parts++ : parts.load()) < 3) return;
      // From here on the server has the new one.
      const bool failed = IsPartRequest(request) && request.fields.count("if-range") > 0 &&
                          request.fields.at("if-range") != "\"2\"";
      reply->content = other;
      reply->fields["ETag"] = "\"2\"";
      if (failed && !ignores_if_range) {
        reply->status = 200;
        reply->fields.erase("Content-Range");
        reply->begin = 0;
        reply->size = other->size();
      } else if (!failed && reply->status == 200) {
        // What the server's own If-Range took for a mismatch is one no more.
        size_t first = 0, last = 0;
        ASSERT_EQ(sscanf(request.fields.at("range").c_str(), "bytes=%zu-%zu", &first, &last), 2);
        reply->status = 206;
        reply->begin = first;
        reply->size = last - first + 1;
        reply->fields["Content-Range"] = absl::StrCat("bytes ", first, "-", last, "/", 6 * kPart);
      }
    });
    EXPECT_EQ(Content(path), new_content) << "noticed, and read anew";
  }
}

TEST_F(RemoteFilesTest, AFileThatNeverRestsIsAnError) {
  server_.Put("/a", {.content = SomeBytes(3 * kPart)});
  std::atomic<int> count = 0;
  server_.OnReply([&](const auto&, HttpServer::Reply* reply) {
    reply->fields["ETag"] = absl::StrCat("\"", ++count, "\"");
  });
  EXPECT_EQ(ReasonOf("/a", absl::StatusCode::kFailedPrecondition), "CHECKPOINT_CHANGED");
  EXPECT_EQ(CountFiles(".resume"), 0u);
  EXPECT_EQ(CountFiles(), 0u);
}

TEST_F(RemoteFilesTest, WrongAnswersAreErrorsNeverContent) {
  server_.Put("/a", {.content = SomeBytes(3 * kPart)});
  using Edit = std::function<void(HttpServer::Reply*)>;
  const std::pair<const char*, Edit> cases[] = {
      {"another size",
       [](auto* reply) {
         reply->fields["Content-Range"] = absl::StrCat(
             "bytes ", reply->begin, "-", reply->begin + reply->size - 1, "/", 3 * kPart + 1);
       }},
      {"another place",
       [](auto* reply) {
         reply->fields["Content-Range"] = absl::StrCat("bytes ", reply->begin + 1, "-",
                                                       reply->begin + reply->size, "/", 3 * kPart);
       }},
      {"no place", [](auto* reply) { reply->fields.erase("Content-Range"); }},
      {"too little", [](auto* reply) { reply->size /= 2, reply->is_chunked = true; }},
      {"compressed", [](auto* reply) { reply->fields["Content-Encoding"] = "gzip"; }},
      {"a wrong sum",
       [](auto* reply) { reply->fields["Content-MD5"] = "AAAAAAAAAAAAAAAAAAAAAA=="; }},
      {"not there any more", [](auto* reply) { reply->Become(404); }},
      {"nonsense", [](auto* reply) { reply->Become(299); }},
      {"a head without end",
       [](auto* reply) { reply->fields["X-Long"] = std::string(80 << 10, 'x'); }},
      {"an interim answer with a body",
       [](auto* reply) { reply->status = 101, reply->break_after = 100; }},
      {"no status", [](auto* reply) { reply->status = 0, reply->break_after = 100; }},
  };
  for (const auto& [what, edit] : cases) {
    server_.OnReply([&edit = edit](const auto& request, HttpServer::Reply* reply) {
      if (IsPartRequest(request)) edit(reply);
    });
    const absl::StatusOr<RemoteFiles::LocalCopy> copy = Fetch(server_.Url("/a"));
    EXPECT_FALSE(copy.ok()) << what;
    EXPECT_EQ(CountFiles(), 0u) << what;
  }
}

std::string Md5Field(absl::string_view bytes) {
  unsigned char sum[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(bytes.data(), bytes.size(), sum, &size, EVP_md5(), nullptr);
  return absl::Base64Escape(absl::string_view(reinterpret_cast<const char*>(sum), size));
}

TEST_F(RemoteFilesTest, APartThatWasDamagedOnItsWayIsReadAgain) {
  const Bytes content = SomeBytes(2 * kPart);
  server_.Put("/a", {.content = content});
  const auto damaged = std::make_shared<const std::string>(SomeBytes(2 * kPart, 7));
  std::atomic<int> parts = 0;
  server_.OnReply([&](const auto& request, HttpServer::Reply* reply) {
    if (!IsPartRequest(request)) return;
    reply->fields["Content-MD5"] = Md5Field(content.substr(reply->begin, reply->size));
    if (++parts == 1) reply->content = damaged;
  });
  EXPECT_EQ(Content("/a"), content);
  EXPECT_EQ(parts, 3);
}

TEST_F(RemoteFilesTest, TheSha256ThatTheServerGivesIsChecked) {
  const Bytes content = SomeBytes(3 * kPart);
  const auto put = [&](const std::string& path, const std::string& sum) {
    server_.Put(path, {.content = content, .fields = {{"X-Linked-Etag", "\"" + sum + "\""}}});
  };
  put("/right", Sha256Hex(content));
  EXPECT_EQ(Content("/right"), content);
  put("/same", Sha256Hex(content));
  const size_t parts = CountRequests(true);
  EXPECT_EQ(Content("/same"), content);
  EXPECT_EQ(CountRequests(true), parts) << "known by its content";
  put("/wrong", std::string(64, 'a'));
  EXPECT_EQ(ReasonOf("/wrong", absl::StatusCode::kDataLoss), "SOURCE_DAMAGED");
}

TEST_F(RemoteFilesTest, MissingAndForbiddenFilesAreToldApart) {
  EXPECT_EQ(ReasonOf("/none", absl::StatusCode::kNotFound), "");
  for (const int status : {401, 403}) {
    server_.OnReply([&](const auto&, HttpServer::Reply* reply) { reply->Become(status); });
    EXPECT_EQ(ReasonOf("/a", absl::StatusCode::kPermissionDenied), "SOURCE_FORBIDDEN");
  }
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->Become(418); });
  EXPECT_EQ(ReasonOf("/a", absl::StatusCode::kFailedPrecondition), "SOURCE_UNSUPPORTED");
  EXPECT_EQ(waited_ms_, 0) << "no other try would mend that";
}

TEST_F(RemoteFilesTest, TooLargeIsToldBeforeAByteIsRead) {
  options_.max_bytes = 4 * kPart;
  server_.Put("/large", {.content = SomeBytes(4 * kPart + 1)});
  EXPECT_EQ(ReasonOf("/large", absl::StatusCode::kFailedPrecondition), "SOURCE_TOO_LARGE");
  EXPECT_EQ(CountRequests(true), 0u);
  server_.Put("/stream", {.content = SomeBytes(4 * kPart + 1), .has_ranges = false});
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->is_chunked = true; });
  EXPECT_EQ(ReasonOf("/stream", absl::StatusCode::kFailedPrecondition), "SOURCE_TOO_LARGE");
}

TEST_F(RemoteFilesTest, WhoUsesAFileLeavesItAsItIs) {
  server_.Put("/a", {.content = SomeBytes(kPart)});
  const auto changed = [&] {
    struct stat status = {};
    EXPECT_EQ(stat(Fetch(server_.Url("/a"))->path.c_str(), &status), 0);
    return std::pair(status.st_ctim.tv_sec, status.st_ctim.tv_nsec);
  };
  const auto before = changed();
  EXPECT_EQ(changed(), before) << "readers would take it for another content";
}

TEST_F(RemoteFilesTest, TheLeastRecentlyUsedGoFirst) {
  options_.max_bytes = 5 * kPart;
  for (const char* name : {"/a", "/b", "/c"}) server_.Put(name, {.content = SomeBytes(2 * kPart)});
  const std::string a = Fetch(server_.Url("/a"))->path, b = Fetch(server_.Url("/b"))->path;
  // Times of last use are of the file system's clock, which may tick slowly.
  for (const std::string& file : {b, b + ".used"}) {
    std::filesystem::last_write_time(
        file, std::filesystem::last_write_time(file) - std::chrono::hours(1));
  }
  const std::string c = Fetch(server_.Url("/c"))->path;
  EXPECT_TRUE(std::filesystem::exists(a));
  EXPECT_FALSE(std::filesystem::exists(b));
  EXPECT_FALSE(std::filesystem::exists(b + ".used"));
  EXPECT_TRUE(std::filesystem::exists(c));
  EXPECT_EQ(Content("/b"), SomeBytes(2 * kPart)) << "and comes again";
}

TEST_F(RemoteFilesTest, WhatWasLeftIsGoneOnWithAndDamagedPartsAreNot) {
  server_.Put("/a", {.content = SomeBytes(8 * kPart)});
  options_.download.connections = 1;
  options_.download.retry.most_failures = 1;
  std::atomic<int> parts = 0;
  server_.OnReply([&](const auto& request, HttpServer::Reply* reply) {
    if (IsPartRequest(request) && ++parts == 6) reply->Become(503);
  });
  EXPECT_FALSE(Fetch(server_.Url("/a")).ok());
  ASSERT_EQ(CountFiles(".resume"), 1u);
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "cache")) {
    if (entry.path().extension() != ".resume") continue;
    // As if a crash of the machine had lost what was written to the second part.
    FILE* const file = fopen(entry.path().c_str(), "r+");
    fseek(file, kPart + 10, SEEK_SET);
    fwrite("\0\0\0\0", 1, 4, file);
    fclose(file);
  }
  files_.reset();
  const size_t before = CountRequests(true);
  EXPECT_EQ(Content("/a"), SomeBytes(8 * kPart));
  EXPECT_EQ(CountRequests(true) - before, 4u) << "the damaged one and the three that never came";
}

}  // namespace
}  // namespace stockpot
