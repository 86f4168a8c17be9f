// Downloads of several processes, and of one that is killed: a process is this program once more,
// with the file to fetch in its environment.
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "tests/server/storage/remote_files_test.h"

extern char** environ;

namespace stockpot {
namespace {

constexpr const char* kUrl = "STOCKPOT_TEST_FETCH_URL";
constexpr const char* kCache = "STOCKPOT_TEST_FETCH_CACHE";
constexpr const char* kDigest = "STOCKPOT_TEST_FETCH_DIGEST";

// The other process' work; nothing in this one.
TEST(DownloadProcess, Fetches) {
  if (getenv(kUrl) == nullptr) GTEST_SKIP() << "this is for the tests below";
  SystemClock clock;
  RemoteAccess access;
  access.allowed_private_hosts = {"127.0.0.1"};
  RemoteFiles::Options options;
  options.cache_folder = getenv(kCache);
  options.download.part_bytes = 64 << 10;
  options.download.retry.first_wait = absl::Milliseconds(5);
  const auto files = OpenRemoteFiles(access, options, &clock, nullptr);
  ASSERT_TRUE(files.ok()) << files.status();
  const auto copy = (*files)->Fetch(getenv(kUrl), Purpose::kData, Unwatched);
  ASSERT_TRUE(copy.ok()) << copy.status();
  ASSERT_EQ(Sha256Hex(*ReadSmallFile(copy->path, 1 << 30)), getenv(kDigest));
}

class DownloadProcesses : public RemoteFilesTest {
 protected:
  pid_t Start(const std::string& url, const std::string& digest) {
    setenv(kUrl, url.c_str(), 1);
    setenv(kCache, (folder_ / "cache").c_str(), 1);
    setenv(kDigest, digest.c_str(), 1);
    std::string program = "/proc/self/exe", filter = "--gtest_filter=DownloadProcess.Fetches",
                brief = "--gtest_brief=1";
    char* const arguments[] = {program.data(), filter.data(), brief.data(), nullptr};
    pid_t process = -1;
    EXPECT_EQ(posix_spawn(&process, program.c_str(), nullptr, nullptr, arguments, environ), 0);
    for (const char* name : {kUrl, kCache, kDigest}) unsetenv(name);
    return process;
  }
  static int Wait(pid_t process) {
    int status = 0;
    waitpid(process, &status, 0);
    return status;
  }
};

TEST_F(DownloadProcesses, TwoThatWantTheSameFileDownloadItOnce) {
  const Bytes content = SomeBytes(40 * kPart);
  server_.Put("/a", {.content = content});
  server_.OnReply([](const auto&, HttpServer::Reply* reply) { reply->pause_ms = 1; });
  const pid_t first = Start(server_.Url("/a"), Sha256Hex(content));
  const pid_t second = Start(server_.Url("/a"), Sha256Hex(content));
  EXPECT_EQ(Wait(first), 0);
  EXPECT_EQ(Wait(second), 0);
  EXPECT_EQ(CountRequests(true), 40u);
  EXPECT_EQ(CountFiles(), 1u);
  EXPECT_EQ(CountFiles(".resume"), 0u);
}

TEST_F(DownloadProcesses, OneThatIsKilledAtAnyMomentIsGoneOnWith) {
  const Bytes content = SomeBytes(40 * kPart);
  server_.Put("/a", {.content = content});
  std::atomic<size_t> parts = 0;
  server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    parts += request.fields.at("range") != "bytes=0-0";
    reply->pause_ms = 1;
  });
  int kills = 0;
  while (true) {
    // Four parts at once: by the time that eight were asked for some have been finished.
    const size_t until = parts + 8;
    const pid_t process = Start(server_.Url("/a"), Sha256Hex(content));
    int status = 0;
    while (parts < until && waitpid(process, &status, WNOHANG) == 0) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    if (WIFEXITED(status) && parts < until) {
      EXPECT_EQ(status, 0);
      break;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(kills * 7 % 60));
    kill(process, SIGKILL);
    const int end = Wait(process);
    if (WIFEXITED(end)) {
      EXPECT_EQ(end, 0);
      break;
    }
    ASSERT_LT(++kills, 100);
    EXPECT_EQ(CountFiles(), 0u);
  }
  EXPECT_GE(kills, 3);
  EXPECT_LE(parts, 40u + 8u * static_cast<size_t>(kills)) << "finished parts are not read again";
  EXPECT_EQ(Content("/a"), content);
  EXPECT_EQ(CountFiles(), 1u);
  EXPECT_EQ(CountFiles(".resume"), 0u);
}

TEST_F(DownloadProcesses, WhoWaitsForOneThatIsKilledTakesOver) {
  const Bytes content = SomeBytes(6 * kPart);
  server_.Put("/a", {.content = content});
  std::atomic<bool> stalls = true;
  std::atomic<int> stalled = 0;
  server_.OnReply([&](const HttpServer::Request& request, HttpServer::Reply* reply) {
    if (!stalls || request.fields.at("range") == "bytes=0-0") return;
    reply->stall_after = 100;
    ++stalled;
  });
  const pid_t first = Start(server_.Url("/a"), Sha256Hex(content));
  while (stalled == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  const pid_t second = Start(server_.Url("/a"), Sha256Hex(content));
  while (CountRequests(false) < 2) {  // until the second one has looked
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  stalls = false;
  kill(first, SIGKILL);
  EXPECT_TRUE(WIFSIGNALED(Wait(first)));
  EXPECT_EQ(Wait(second), 0);
}

}  // namespace
}  // namespace stockpot
