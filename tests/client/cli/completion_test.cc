// What `stockpot completion` prints, in the real shells where they are installed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <cstdio>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::IsEmpty;
using testing::Not;
using testing::UnorderedElementsAre;

// What a shell's command line prints, line by line.
std::vector<std::string> LinesOf(const std::string& command) {
  std::FILE* pipe = popen(command.c_str(), "r");
  std::string text;
  std::array<char, 4096> buffer;
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    text.append(buffer.data(), n);
  }
  EXPECT_EQ(pclose(pipe), 0) << command;
  return absl::StrSplit(text, '\n', absl::SkipEmpty());
}

class Completion : public testing::Test {
 protected:
  // The script's path.
  std::string Write(const std::string& shell) {
    const auto outcome = client_.Run({"completion", shell});
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    const std::string path = client_.folder / shell;
    std::ofstream(path) << outcome.out;
    return path;
  }
  static bool IsInstalled(const std::string& shell) {
    return std::system(absl::StrCat("command -v ", shell, " >/dev/null").c_str()) == 0;
  }

  ClientHarness client_;
};

class InBash : public Completion {
 protected:
  // What bash offers when Tab is hit at the end of this line; bash's own word breaks are at = too.
  std::vector<std::string> Offers(const std::string& line) {
    static constexpr char kScript[] = R"(
      . "$0"
      line=${1//=/ = }
      read -ra COMP_WORDS <<<"$line"
      [[ $line == *' ' && $1 != *= ]] && COMP_WORDS+=('')
      COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
      $(complete -p stockpot | sed 's/.*-F \([^ ]*\).*/\1/')
      printf '%s\n' "${COMPREPLY[@]}")";
    const std::string script = client_.folder / "try";
    std::ofstream(script) << kScript;
    return LinesOf(
        absl::StrCat("bash -c \"$(cat ", script, ")\" ", Write("bash"), " '", line, "'"));
  }
};

TEST_F(InBash, OffersCommandsFlagsAndWords) {
  EXPECT_THAT(Offers("stockpot comp"), ElementsAre("completion"));
  EXPECT_THAT(Offers("stockpot "), testing::IsSupersetOf({"submit", "run", "watch", "init"}));
  EXPECT_THAT(Offers("stockpot submit --reci"), ElementsAre("--recipe"));
  EXPECT_THAT(Offers("stockpot submit --recipe gre"), ElementsAre("greedy"));
  EXPECT_THAT(Offers("stockpot submit --recipe="), Contains("uniform"));
  EXPECT_THAT(Offers("stockpot submit --recipe=best"), ElementsAre("best-single"));
  EXPECT_THAT(Offers("stockpot completion "), UnorderedElementsAre("bash", "zsh", "fish"));
  EXPECT_THAT(Offers("stockpot --quiet list --state "), Contains("succeeded"));
  EXPECT_THAT(Offers("stockpot watch x --reco"), ElementsAre("--reconnect-timeout"))
      << "flags of all commands too";
  EXPECT_THAT(Offers("stockpot watch --"), Not(Contains("--recipe"))) << "no other command's";
}

TEST_F(InBash, LeavesFilesToBash) {
  EXPECT_THAT(Offers("stockpot run --file jo"), IsEmpty());
  EXPECT_THAT(Offers("stockpot --ca-file c"), IsEmpty());
  EXPECT_THAT(Offers("stockpot merge swe"), IsEmpty());
  EXPECT_THAT(LinesOf(absl::StrCat("bash -c '. ", Write("bash"), "; complete -p stockpot'")),
              ElementsAre("complete -o bashdefault -o default -F _stockpot stockpot"));
}

TEST_F(Completion, IsAScriptToZsh) {
  if (!IsInstalled("zsh")) GTEST_SKIP() << "no zsh";
  EXPECT_THAT(LinesOf("zsh -n " + Write("zsh")), IsEmpty());
}

TEST_F(Completion, OffersWordsInFish) {
  if (!IsInstalled("fish")) GTEST_SKIP() << "no fish";
  const auto lines = LinesOf(absl::StrCat(
      "fish --no-config -c 'source ", Write("fish"),
      "; complete -C \"stockpot submit --recipe gre\"; complete -C \"stockpot ini\"'"));
  ASSERT_EQ(lines.size(), 2u);
  EXPECT_THAT(lines[0], testing::StartsWith("greedy"));
  EXPECT_THAT(lines[1], testing::StartsWith("init"));
}

TEST_F(Completion, KnowsThreeShells) { EXPECT_EQ(client_.Run({"completion", "tcsh"}).code, 2); }

}  // namespace
}  // namespace stockpot::cli
