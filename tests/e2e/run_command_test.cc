// stockpot run as a user runs it: no server, no set-up, and nothing left behind, however it ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <vector>

#include "tests/support/eventually.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr absl::Duration kPatience = absl::Seconds(60);

class RunCommand : public testing::Test {
 protected:
  // `stockpot`, whose temporary files go to a folder that is looked at.
  std::vector<std::string> Program(const std::vector<std::string>& arguments) const {
    std::vector<std::string> command = {"/usr/bin/env", "TMPDIR=" + temporary_.path(),
                                        ProgramPath("stockpot")};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
  }
  std::vector<std::string> Command(const TinySweep& sweep,
                                   const std::vector<std::string>& more) const {
    std::vector<std::string> command =
        Program({"run", "--workers=1", "--architecture=" + sweep / "models/linear.pt",
                 "--held-out=" + sweep / "data.safetensors", "--out=" + out_});
    command.insert(command.end(), more.begin(), more.end());
    return command;
  }
  // Starts it and waits until the job runs.
  pid_t StartAndWait(std::vector<std::string> command) {
    command.insert(command.begin(), {"/bin/sh", "-c", "exec \"$@\" >\"$0\" 2>&1", log_});
    std::vector<char*> argv;
    for (std::string& word : command) argv.push_back(word.data());
    argv.push_back(nullptr);
    pid_t process_id = -1;
    EXPECT_EQ(posix_spawn(&process_id, argv[0], nullptr, nullptr, argv.data(), environ), 0);
    EXPECT_TRUE(Eventually([&] { return Log().find("RUNNING") != std::string::npos; }, kPatience))
        << Log();
    return process_id;
  }
  std::string Log() const {
    std::ifstream file(log_);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  std::vector<fs::path> LeftBehind() const {
    return {fs::directory_iterator(temporary_.path()), fs::directory_iterator()};
  }
  // Programs whose command line names the temporary folder: the server and its workers.
  bool AnyProcessLeft() const {
    for (const auto& entry : fs::directory_iterator("/proc")) {
      std::ifstream file(entry.path() / "cmdline");
      const std::string line{std::istreambuf_iterator<char>(file), {}};
      if (line.find(temporary_.path() + "/stockpot-run-") != std::string::npos) return true;
    }
    return false;
  }
  // Of a sweep that takes long enough to be interrupted.
  std::vector<std::string> LongCommand() const {
    return Command(long_sweep_, {"--batch-size=1", "--full-scores", "--ingredients",
                                 long_sweep_ / "good_*.safetensors"});
  }

  const TinySweep long_sweep_{/*repeats=*/200'000};
  const TemporaryFolder temporary_;
  const TemporaryFolder folder_;
  const std::string out_ = folder_ / "soup";
  const std::string log_ = folder_ / "log";
};

TEST_F(RunCommand, MakesASoupOfWhatInitWroteAndLeavesNothingBehind) {
  const TinySweep sweep;
  fs::copy(sweep / "models/linear.pt", folder_ / "architecture.pt");
  fs::copy(sweep / "data.safetensors", folder_ / "held_out.safetensors");
  fs::create_directory(folder_ / "sweep");
  for (const char* name : {"good_0.safetensors", "good_1.safetensors"}) {
    fs::copy(sweep / name, folder_ / "sweep/" + name);
  }
  const std::string job = folder_ / "job.yaml";
  ASSERT_EQ(RunProgram(Program({"init", job, "--kind=tensors"})).exit_code, 0);
  const ProgramResult result = RunProgram(Program({"run", "--file", job, "--out", out_}));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("greedy: good_0.safetensors"));
  EXPECT_TRUE(fs::exists(out_ + "/soup.safetensors"));
  EXPECT_TRUE(fs::exists(out_ + "/manifest.json"));
  EXPECT_THAT(LeftBehind(), IsEmpty());
  EXPECT_FALSE(AnyProcessLeft());
}

TEST_F(RunCommand, ADataFolderKeepsWhatWasMeasured) {
  const TinySweep sweep;
  const auto command = Command(
      sweep, {"--ingredients", sweep / "good_*.safetensors", "--data-folder", folder_ / "data"});
  EXPECT_EQ(RunProgram(command).exit_code, 0);
  const ProgramResult again = RunProgram(command);
  EXPECT_EQ(again.exit_code, 0) << again.output;
  EXPECT_THAT(again.output, HasSubstr("(known already)"));
  EXPECT_THAT(LeftBehind(), IsEmpty());
}

TEST_F(RunCommand, ExitCodesSayWhatWentWrong) {
  const TinySweep sweep;
  ProgramResult result = RunProgram(Command(sweep, {"--ingredients", "/no/such.safetensors"}));
  EXPECT_EQ(result.exit_code, 1) << result.output;
  EXPECT_THAT(result.output, HasSubstr("/no/such.safetensors"));
  result = RunProgram(Command(sweep, {"--metric=nonsense"}));
  EXPECT_EQ(result.exit_code, 2) << result.output;
  result = RunProgram(Command(
      sweep, {"--ingredients", sweep / "good_*.safetensors", "--server-flag=--no_such_flag"}));
  EXPECT_EQ(result.exit_code, 4) << result.output;
  EXPECT_THAT(result.output, HasSubstr("no_such_flag")) << "the server's own words";
  EXPECT_FALSE(fs::exists(out_));
  EXPECT_THAT(LeftBehind(), IsEmpty());
  EXPECT_FALSE(AnyProcessLeft());
}

TEST_F(RunCommand, ASignalEndsTheJobTheServerAndItsWorkers) {
  for (const int signal : {SIGINT, SIGTERM}) {
    const pid_t process_id = StartAndWait(LongCommand());
    kill(process_id, signal);
    int status = 0;
    waitpid(process_id, &status, 0);
    EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 130) << status << Log();
    EXPECT_THAT(LeftBehind(), IsEmpty());
    EXPECT_FALSE(AnyProcessLeft());
    fs::remove(log_);
  }
}

TEST_F(RunCommand, TheServerDoesNotOutliveAClientThatIsKilled) {
  const pid_t process_id = StartAndWait(LongCommand());
  EXPECT_TRUE(AnyProcessLeft());
  kill(process_id, SIGKILL);
  waitpid(process_id, nullptr, 0);
  EXPECT_TRUE(Eventually([&] { return !AnyProcessLeft(); }, kPatience));
}

}  // namespace
}  // namespace stockpot
