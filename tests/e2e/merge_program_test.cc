// stockpot merge as a user runs it: the real programs, their exit codes and memory, and what a kill
// leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "server/worker/checkpoint/safetensors_writer.h"
#include "tests/support/sanitized.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

namespace fs = std::filesystem;

std::string ReadFile(const std::string& path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

struct Outcome {
  int status = 0;  // of waitpid
  int code = -1;   // where it exited
  std::string out, error;
};

class Program {
 public:
  explicit Program(std::vector<std::string> arguments) {
    const fs::path self = fs::read_symlink("/proc/self/exe");
    arguments.insert(arguments.begin(),
                     (self.parent_path().parent_path() / "bin" / "stockpot").string());
    std::vector<char*> argv;
    for (std::string& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    const std::string out = folder_ / "out", error = folder_ / "error";
    pid_ = fork();
    if (pid_ != 0) return;
    if (freopen(out.c_str(), "w", stdout) == nullptr ||
        freopen(error.c_str(), "w", stderr) == nullptr) {
      _exit(126);
    }
    execv(argv[0], argv.data());
    _exit(127);
  }

  pid_t pid() const { return pid_; }
  Outcome Wait() const {
    Outcome outcome;
    waitpid(pid_, &outcome.status, 0);
    if (WIFEXITED(outcome.status)) outcome.code = WEXITSTATUS(outcome.status);
    outcome.out = ReadFile(folder_ / "out");
    outcome.error = ReadFile(folder_ / "error");
    return outcome;
  }

 private:
  const TemporaryFolder folder_;
  pid_t pid_ = 0;
};

Outcome RunProgram(const std::vector<std::string>& arguments) { return Program(arguments).Wait(); }

void Save(const std::string& path, int64_t rows, float number) {
  const std::vector<TensorInfo> tensors = {{"a", DType::kFloat32, {rows, 1024}},
                                           {"b", DType::kFloat32, {7}}};
  const auto writer = SafetensorsWriter::Create(path, tensors, {});
  ASSERT_TRUE(writer.ok()) << writer.status();
  const std::vector<float> row(1024, number);
  for (int64_t i = 0; i < rows; ++i) {
    ASSERT_TRUE((*writer)->AppendPart({reinterpret_cast<const char*>(row.data()), 1024 * 4}).ok());
  }
  ASSERT_TRUE((*writer)->AppendPart({reinterpret_cast<const char*>(row.data()), 7 * 4}).ok());
  ASSERT_TRUE((*writer)->Finish().ok());
}

// Ingredients of so many rows of 4 KiB.
class MergeProgram : public testing::Test {
 protected:
  void SaveIngredients(int count, int64_t rows) {
    for (int i = 0; i < count; ++i) {
      Save(inputs_ / absl::StrCat("m", i, ".safetensors"), rows, static_cast<float>(i));
    }
  }
  std::string pattern() const { return inputs_ / "m*.safetensors"; }
  std::string out() const { return folder_ / "soup.safetensors"; }

  float FirstNumber() const {
    const auto soup = OpenCheckpoint(out(), {});
    if (!soup.ok()) return NAN;
    std::vector<char> scratch;
    float number;
    std::memcpy(&number, (*soup)->Read(0, &scratch)->data(), sizeof(number));
    return number;
  }

  TemporaryFolder inputs_, folder_;
};

TEST_F(MergeProgram, AveragesWithoutAServer) {
  SaveIngredients(4, 10);
  const Outcome uniform = RunProgram({"merge", pattern(), "--out", out()});
  EXPECT_EQ(uniform.code, 0) << uniform.error;
  EXPECT_THAT(uniform.error, HasSubstr("plan: 4 ingredients of 2 tensors"));
  EXPECT_THAT(uniform.out, HasSubstr("sha256 " + Sha256Hex(ReadFile(out()))));
  EXPECT_EQ(FirstNumber(), 1.5F);
  const Outcome given =
      RunProgram({"merge", pattern(), "--out", out(), "--coefficients", "0,0,-1,2", "-q"});
  EXPECT_EQ(given.code, 0) << given.error;
  EXPECT_EQ(given.error, "");
  EXPECT_EQ(FirstNumber(), 4.0F);
}

TEST_F(MergeProgram, KeepsTheMemoryItPlanned) {
  if (kSanitized) GTEST_SKIP() << "the sanitizer's own memory counts too";
  constexpr int64_t kRows = 16 << 10;  // 64 MiB
  SaveIngredients(5, kRows);
  for (const std::vector<std::string>& more : {std::vector<std::string>(), {"--digests"}}) {
    std::vector<std::string> arguments = {"merge", pattern(), "--out", out(), "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const Outcome outcome = RunProgram(arguments);
    ASSERT_EQ(outcome.code, 0) << outcome.error;
    const auto plan = ParseJson(outcome.error);
    const auto result = ParseJson(outcome.out);
    ASSERT_TRUE(plan.ok() && result.ok()) << outcome.error << outcome.out;
    const auto planned = (*plan)["plan"]["peak_bytes"].get<uint64_t>();
    const auto measured = (*result)["peak_bytes"].get<uint64_t>();
    EXPECT_GT(measured, 10u << 20) << "two windows at least";
    EXPECT_LE(measured, planned) << outcome.error;
    // All five are five times 64 MiB: what is held is no matter of how many there are.
    if (more.empty()) {
      EXPECT_LT(planned, 120u << 20);
    }
  }
}

TEST_F(MergeProgram, PlansAndStopsWhereAsked) {
  SaveIngredients(2, 3);
  const Outcome outcome = RunProgram({"merge", pattern(), "--out", out(), "--plan", "--json"});
  EXPECT_EQ(outcome.code, 0) << outcome.error;
  const auto plan = ParseJson(outcome.out);
  ASSERT_TRUE(plan.ok()) << outcome.out;
  EXPECT_EQ((*plan)["plan"]["bytes_read"], 2 * (3 * 4096 + 28));
  EXPECT_FALSE(fs::exists(out()));
}

TEST_F(MergeProgram, SaysWhatIsWrongWithTheDocumentedExitCode) {
  SaveIngredients(1, 3);
  Save(inputs_ / "m1.safetensors", 4, 1);
  const Outcome mismatch = RunProgram({"merge", pattern(), "--out", out()});
  EXPECT_EQ(mismatch.code, 2);
  EXPECT_THAT(mismatch.error, HasSubstr("tensor 'a': shape [4, 1024], expected [3, 1024]"));
  EXPECT_THAT(mismatch.error, HasSubstr("reason: CHECKPOINT_MISMATCH"));
  EXPECT_EQ(RunProgram({"merge", inputs_ / "none", "--out", out()}).code, 2);
  EXPECT_EQ(RunProgram({"merge", pattern(), "--out", out(), "--coefficients", "x"}).code, 2);
  EXPECT_FALSE(fs::exists(out()));
}

// Ends a merge as soon as its part file is there.
Outcome EndMidway(const std::string& pattern, const std::string& out, int signal_number) {
  const Program program({"merge", pattern, "--out", out, "--threads", "1"});
  const auto begun = [&] {
    const auto entries = fs::directory_iterator(fs::path(out).parent_path());
    return std::any_of(begin(entries), end(entries), [](const fs::directory_entry& entry) {
      return absl::StrContains(entry.path().string(), ".part-");
    });
  };
  while (!begun() && waitpid(program.pid(), nullptr, WNOHANG) == 0) usleep(100);
  kill(program.pid(), signal_number);
  return program.Wait();
}

TEST_F(MergeProgram, AKillLeavesNoHalfFileUnderTheName) {
  SaveIngredients(3, 32 << 10);
  std::ofstream(out()) << "old";
  const Outcome killed = EndMidway(pattern(), out(), SIGKILL);
  ASSERT_TRUE(WIFSIGNALED(killed.status)) << "over before it could be killed";
  EXPECT_EQ(ReadFile(out()), "old");
}

TEST_F(MergeProgram, CtrlCLeavesNothing) {
  SaveIngredients(3, 32 << 10);
  const Outcome interrupted = EndMidway(pattern(), out(), SIGINT);
  EXPECT_EQ(interrupted.code, 130) << interrupted.error;
  EXPECT_TRUE(fs::is_empty(folder_.path()));
}

}  // namespace
}  // namespace stockpot
