// What a person sees of a running job: the real program in a real terminal (tmux), its screens read
// by meaning.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <functional>
#include <regex>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "tests/support/eventually.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

constexpr int kWidth = 90;
constexpr int kHeight = 12;
constexpr int kIngredients = 16;

class Terminal {
 public:
  explicit Terminal(const std::string& command) {
    Tmux({"-f", "/dev/null", "new-session", "-d", "-x", std::to_string(kWidth), "-y",
          std::to_string(kHeight), absl::StrCat(command, "; echo rc=$?; sleep 600")});
  }
  ~Terminal() { Tmux({"kill-server"}); }

  // Lines without what is empty at the end. `history`: from the first line on.
  std::vector<std::string> Lines(bool history = false, bool colours = false) const {
    std::vector<std::string> arguments = {"capture-pane", "-p"};
    if (history) arguments.insert(arguments.end(), {"-S", "-"});
    if (colours) arguments.push_back("-e");
    std::vector<std::string> lines = absl::StrSplit(Tmux(arguments), '\n');
    while (!lines.empty() && lines.back().empty()) lines.pop_back();
    return lines;
  }
  void Press(const std::string& key) { Tmux({"send-keys", key}); }

 private:
  std::string Tmux(std::vector<std::string> arguments) const {
    arguments.insert(arguments.begin(), {"/usr/bin/env", "-u", "TMUX", "TERM=screen-256color",
                                         "LC_ALL=C.UTF-8", "tmux", "-S", folder_ / "tmux"});
    return RunProgram(arguments).output;
  }

  const TemporaryFolder folder_;
};

std::string Text(const std::vector<std::string>& lines) { return absl::StrJoin(lines, "\n"); }

// The positions of the candidates on a screen, from top to bottom.
std::vector<int> CandidatesOn(const std::vector<std::string>& lines) {
  static const std::regex kCandidate(R"( +(\d+)/16  good_\d+\.safetensors +\d+\.\d\d % .*[✓✗].*)");
  std::vector<int> positions;
  std::smatch match;
  for (const std::string& line : lines) {
    if (std::regex_match(line, match, kCandidate)) positions.push_back(std::stoi(match[1]));
  }
  return positions;
}

class WatchScreen : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    if (std::system("command -v tmux >/dev/null") != 0) return;
    server_ = new ServerProcess({.workers = 1});
    sweep_ = new TinySweep(/*repeats=*/700, kIngredients);
  }
  static void TearDownTestSuite() {
    delete server_;
    delete sweep_;
    server_ = nullptr;
  }
  void SetUp() override {
    if (server_ == nullptr) GTEST_SKIP() << "no tmux";
  }
  static std::string Submit(const std::string& more) {
    return absl::StrCat(ProgramPath("stockpot"), " submit --server ", server_->address(),
                        " --architecture ", *sweep_ / "models/linear.pt", " --held-out ",
                        *sweep_ / "data.safetensors", " --ingredients '",
                        *sweep_ / "good_*.safetensors", "' --batch-size 1 ",
                        "--full-scores --measure-again --watch ", more);
  }

  static ServerProcess* server_;
  static TinySweep* sweep_;
};
ServerProcess* WatchScreen::server_ = nullptr;
TinySweep* WatchScreen::sweep_ = nullptr;

TEST_F(WatchScreen, ShowsTheNewestCandidatesTheSoupAndTheProgressInPlace) {
  const Terminal terminal(Submit(""));
  std::vector<std::string> screen;
  // More candidates than fit, and the job goes on.
  ASSERT_TRUE(Eventually([&] {
    screen = terminal.Lines();
    const std::vector<int> shown = CandidatesOn(screen);
    return !shown.empty() && shown.back() >= kHeight;
  })) << Text(terminal.Lines());
  SCOPED_TRACE(Text(screen));
  const std::vector<int> shown = CandidatesOn(screen);
  EXPECT_EQ(shown.size(), kHeight - 4u) << "all but what is above, the heading, soup and progress";
  for (size_t i = 1; i < shown.size(); ++i) EXPECT_EQ(shown[i], shown[i - 1] + 1);
  ASSERT_EQ(screen.size(), static_cast<size_t>(kHeight));
  EXPECT_THAT(screen[1], testing::ContainsRegex("# +candidate +held-out top-1 +soup"));
  EXPECT_THAT(screen[kHeight - 2], testing::StartsWith("soup of 1: 100.00 % (4200/4200)"));
  EXPECT_THAT(screen[kHeight - 1], testing::ContainsRegex(R"(^\[#+-*\] +[0-9]+ % .* tasks)"));

  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Text(terminal.Lines()), "rc=0"); }));
  const std::vector<std::string> all = terminal.Lines(/*history=*/true);
  SCOPED_TRACE(Text(all));
  std::vector<int> every(kIngredients);
  for (int i = 0; i < kIngredients; ++i) every[static_cast<size_t>(i)] = i + 1;
  EXPECT_EQ(CandidatesOn(all), every) << "each once, in order, and nothing of what was rewritten";
  EXPECT_FALSE(absl::StrContains(Text(all), "###")) << "no progress is left";
  EXPECT_THAT(Text(all), testing::HasSubstr("greedy: good_"));
}

TEST_F(WatchScreen, HasColoursUnlessTheyAreNotWanted) {
  for (const bool wanted : {true, false}) {
    const Terminal terminal(absl::StrCat(wanted ? "" : "NO_COLOR=1 ", Submit("")));
    ASSERT_TRUE(Eventually([&] { return !CandidatesOn(terminal.Lines()).empty(); }));
    const std::string screen = Text(terminal.Lines(false, /*colours=*/true));
    EXPECT_EQ(absl::StrContains(screen, "\x1b["), wanted) << screen;
    EXPECT_TRUE(absl::StrContains(screen, "✓")) << screen;
  }
}

TEST_F(WatchScreen, CtrlCLeavesWhatWasSeenAndSaysHowToGoOn) {
  Terminal terminal(Submit("--job-id interrupted"));
  ASSERT_TRUE(Eventually([&] { return CandidatesOn(terminal.Lines()).size() > 3; }));
  terminal.Press("C-c");
  ASSERT_TRUE(Eventually([&] { return absl::StrContains(Text(terminal.Lines()), "rc=130"); }))
      << Text(terminal.Lines());
  EXPECT_GT(CandidatesOn(terminal.Lines(/*history=*/true)).size(), 3u);
  // The terminal breaks long lines.
  EXPECT_TRUE(
      absl::StrContains(absl::StrJoin(terminal.Lines(), ""), "stockpot cancel interrupted"));
  RunProgram({ProgramPath("stockpot"), "cancel", "interrupted", "--server", server_->address()});
}

}  // namespace
}  // namespace stockpot
