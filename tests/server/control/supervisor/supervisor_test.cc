#include "server/control/supervisor/supervisor.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/fakes/fake_clock.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

// A named pipe that children write lines to: reading waits for them.
class Lines {
 public:
  explicit Lines(const std::string& path) : path_(path) {
    if (mkfifo(path.c_str(), 0600) != 0) std::abort();
    // Also open for writing, so that there is no end of file between two children.
    handle_ = open(path.c_str(), O_RDWR | O_CLOEXEC);
  }
  ~Lines() { close(handle_); }
  const std::string& path() const { return path_; }

  std::string Next() {
    std::string line;
    char c;
    while (read(handle_, &c, 1) == 1 && c != '\n') line.push_back(c);
    return line;
  }

 private:
  const std::string path_;
  int handle_;
};

class SupervisorTest : public ::testing::Test {
 protected:
  SupervisorTest() : lines_(folder_ / "lines"), log_(Log::Silent()) {}

  // Children run this script with $0 = their id and $1 = the pipe.
  std::unique_ptr<Supervisor> Make(const std::string& script, int count = 1) {
    Supervisor::Options options;
    options.count = count;
    options.backoff.first = options.backoff.longest = absl::ZeroDuration();
    options.stop_grace = absl::Seconds(20);
    options.arguments = [script, pipe = lines_.path()](const std::string& id, int) {
      return std::vector<std::string>{"/bin/sh", "-c", script, id, pipe};
    };
    return std::make_unique<Supervisor>(std::move(options), &clock_, log_.get());
  }

  TemporaryFolder folder_;
  Lines lines_;
  FakeClock clock_;
  std::unique_ptr<Log> log_;
};

// Says its id, then waits for a signal.
constexpr char kWaits[] = "echo $0 > $1; while :; do read x < $1.never; done";
constexpr char kEndsAtOnce[] = "echo $0 > $1; exit 3";

TEST_F(SupervisorTest, KeepsAsManyWorkersAsWereAskedFor) {
  mkfifo((lines_.path() + ".never").c_str(), 0600);
  auto supervisor = Make(kWaits, 3);
  supervisor->Start();
  std::set<std::string> ids;
  for (int i = 0; i < 3; ++i) ids.insert(lines_.Next());
  EXPECT_EQ(ids.size(), 3u);
  for (const std::string& id : ids) {
    EXPECT_EQ(id.size(), 32u);
    EXPECT_TRUE(supervisor->IsLive(id));
  }
  EXPECT_FALSE(supervisor->IsLive("stranger"));
  supervisor->Stop();
  for (const std::string& id : ids) EXPECT_FALSE(supervisor->IsLive(id));
}

TEST_F(SupervisorTest, StartsAnotherUnderANewIdWhenOneEnds) {
  auto supervisor = Make(kEndsAtOnce);
  supervisor->Start();
  std::set<std::string> ids;
  for (int i = 0; i < 5; ++i) ids.insert(lines_.Next());
  EXPECT_EQ(ids.size(), 5u);
  supervisor->Stop();
}

TEST_F(SupervisorTest, StartsAnotherWhenOneIsKilled) {
  mkfifo((lines_.path() + ".never").c_str(), 0600);
  auto supervisor = Make(kWaits);
  supervisor->Start();
  const std::string first = lines_.Next();
  supervisor->Kill("nobody");
  supervisor->Kill(first);
  const std::string second = lines_.Next();
  EXPECT_NE(first, second);
  EXPECT_FALSE(supervisor->IsLive(first));
  EXPECT_TRUE(supervisor->IsLive(second));
}

TEST_F(SupervisorTest, KillsWhatIgnoresSigterm) {
  mkfifo((lines_.path() + ".never").c_str(), 0600);
  Supervisor::Options options;
  options.stop_grace = absl::Milliseconds(1);
  options.arguments = [pipe = lines_.path()](const std::string& id, int) {
    return std::vector<std::string>{"/bin/sh", "-c", std::string("trap '' TERM; ") + kWaits, id,
                                    pipe};
  };
  Supervisor supervisor(std::move(options), &clock_, log_.get());
  supervisor.Start();
  const std::string id = lines_.Next();
  supervisor.Stop();
  EXPECT_FALSE(supervisor.IsLive(id));
}

TEST_F(SupervisorTest, StopsWhileAProgramCannotBeStarted) {
  Supervisor::Options options;
  options.backoff.first = options.backoff.longest = absl::Hours(1);
  options.arguments = [](const std::string&, int) {
    return std::vector<std::string>{"/nonexistent/program"};
  };
  Supervisor supervisor(std::move(options), &clock_, log_.get());
  supervisor.Start();
  supervisor.Stop();
  EXPECT_TRUE(supervisor.LiveIds().empty());
}

TEST_F(SupervisorTest, NeverStartedAndStoppedTwiceIsFine) {
  auto supervisor = Make(kEndsAtOnce);
  supervisor->Stop();
  supervisor->Stop();
}

TEST(ChildProcess, SaysHowItEnded) {
  const auto end = [](const std::string& script) {
    auto child = ChildProcess::Start({"/bin/sh", "-c", script});
    return child.ok() ? (*child)->Wait() : std::string(child.status().message());
  };
  EXPECT_EQ(end("exit 0"), "exit code 0");
  EXPECT_EQ(end("exit 3"), "exit code 3");
  EXPECT_EQ(end("kill -9 $$"), "signal 9");
  EXPECT_EQ(ChildProcess::Start({"/nonexistent"}).status().code(), absl::StatusCode::kNotFound);
}

TEST(ChildProcess, InheritsNoFileAndHasAnEmptyInput) {
  // Without O_CLOEXEC, as libraries open them.
  const int leak = open("/dev/zero", O_RDONLY);
  ASSERT_GT(leak, 2);
  auto child = ChildProcess::Start(
      {"/bin/sh", "-c",
       absl::StrCat("test ! -e /proc/self/fd/", leak, " && ! read line && exit 42")});
  close(leak);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ((*child)->Wait(), "exit code 42");
}

TEST(ChildProcess, GetsSignalsThatTheServerBlocksOrIgnores) {
  sigset_t blocked, before;
  sigemptyset(&blocked);
  sigaddset(&blocked, SIGTERM);
  pthread_sigmask(SIG_BLOCK, &blocked, &before);
  auto child = ChildProcess::Start({"/bin/sh", "-c", "kill -TERM $$; exit 1"});
  pthread_sigmask(SIG_SETMASK, &before, nullptr);
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ((*child)->Wait(), "signal 15");
}

TEST(ChildProcess, LeavesNoGrandchildBehind) {
  TemporaryFolder folder;
  const std::string pipe = folder / "pipe";
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  // Only the grandchild holds the pipe's writing end: its death is the end of file.
  auto child = ChildProcess::Start(
      {"/bin/sh", "-c", "sh -c 'exec 1> $0; echo; exec sleep 1000' $0 & wait", pipe});
  ASSERT_TRUE(child.ok()) << child.status();
  const int handle = open(pipe.c_str(), O_RDONLY | O_CLOEXEC);
  char c;
  EXPECT_EQ(read(handle, &c, 1), 1);
  kill((*child)->process_id(), SIGKILL);
  EXPECT_EQ((*child)->Wait(), "signal 9");
  EXPECT_EQ(read(handle, &c, 1), 0);
  close(handle);
}

TEST(RestartDelay, IsNothingFirstThenDoublesUpToABound) {
  const Backoff backoff = {absl::Seconds(1), absl::Seconds(10)};
  EXPECT_EQ(RestartDelay(backoff, 1, 0), absl::ZeroDuration());
  EXPECT_EQ(RestartDelay(backoff, 2, 0), absl::Seconds(1));
  EXPECT_EQ(RestartDelay(backoff, 3, 0), absl::Seconds(2));
  EXPECT_EQ(RestartDelay(backoff, 5, 0), absl::Seconds(8));
  EXPECT_EQ(RestartDelay(backoff, 6, 0), absl::Seconds(10));
  EXPECT_EQ(RestartDelay(backoff, 1'000'000, 0), absl::Seconds(10));
  EXPECT_EQ(RestartDelay(backoff, 3, 1), absl::Seconds(1));
}

}  // namespace
}  // namespace stockpot
