// The command line of stockpot-worker, and what it takes of stockpotd's configuration file.
#include "server/main/worker_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "server/main/data_folder_id.h"
#include "server/main/ready_file.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class WorkerFlagsTest : public testing::Test {
 protected:
  int Parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "stockpot-worker");
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    flags_ = WorkerFlags();
    testing::internal::CaptureStderr();
    const int code =
        ParseWorkerFlags(static_cast<int>(argv.size()), argv.data(), &flags_).value_or(-1);
    words_ = testing::internal::GetCapturedStderr();
    return code;
  }
  // What is wrong with a command line; "": nothing.
  std::string Complain(const std::vector<std::string>& arguments) {
    EXPECT_EQ(Parse(arguments), -1) << words_;
    return std::string(CompleteWorkerFlags(&flags_).message());
  }
  std::string Write(const std::string& name, const std::string& text) const {
    std::ofstream(folder_ / name) << text;
    return folder_ / name;
  }

  const TemporaryFolder folder_;
  WorkerFlags flags_;
  std::string words_;
};

TEST_F(WorkerFlagsTest, TakeOfTheServersFileWhatBothHave) {
  const std::string file = Write("stockpotd.yaml",
                                 "listen: 0.0.0.0:8433\nworkers: 0\naccess_file: /etc/access\n"
                                 "allowed_root: [/data, /scratch]\nhf_endpoint: https://hub\n"
                                 "allowed_architecture_prefix: [/data/arch]\ndrain_timeout: 90s\n"
                                 "data_folder: /var/lib/stockpot\nallow_insecure_remote: true\n");
  ASSERT_EQ(Parse({"--config=" + file, "--server=soup:8435", "--drain_timeout=5s"}), -1) << words_;
  EXPECT_THAT(flags_.allowed_roots, ElementsAre("/data", "/scratch"));
  EXPECT_THAT(flags_.allowed_architecture_prefixes, ElementsAre("/data/arch"));
  EXPECT_EQ(flags_.remote.access.hf_endpoint, "https://hub");
  EXPECT_EQ(flags_.drain_timeout, absl::Seconds(5)) << "the command line wins";
  ASSERT_TRUE(CompleteWorkerFlags(&flags_).ok());
  EXPECT_EQ(flags_.cache_folder, "/var/lib/stockpot/cache");
}

TEST_F(WorkerFlagsTest, OfAFileThatAreWrongAreNamedWithFileAndLine) {
  const std::string file = Write("bad.yaml", "workers: 0\ndrain_timeout: soon\n");
  EXPECT_EQ(Parse({"--config=" + file, "--server=x:1"}), 2);
  EXPECT_THAT(words_, HasSubstr("bad.yaml:2: "));
}

TEST_F(WorkerFlagsTest, DurationsThatCannotBeMeantAreRefused) {
  for (const char* flag : {"--heartbeat=0s", "--heartbeat=often", "--drain_timeout=-1s"}) {
    EXPECT_EQ(Parse({"--server=x:1", flag}), 2) << flag;
    EXPECT_THAT(words_, HasSubstr("is not a duration"));
  }
}

TEST_F(WorkerFlagsTest, AChildNeedsNoneOfTheOthers) {
  EXPECT_EQ(Complain({"--server=unix:/x", "--worker_id=1", "--cache_folder=/c"}), "");
  EXPECT_THAT(Complain({"--server=unix:/x", "--worker_id=1"}), HasSubstr("--cache_folder"));
}

TEST_F(WorkerFlagsTest, PlaintextStaysOnThisMachine) {
  const std::string data = "--data_folder=/d";
  for (const char* here : {"localhost:1", "127.0.0.1:1", "[::1]:1"}) {
    EXPECT_EQ(Complain({std::string("--server=") + here, data}), "") << here;
  }
  for (const char* there : {"soup:1", "10.0.0.1:1", "127.0.0.1.example.com:1"}) {
    const std::string server = std::string("--server=") + there;
    EXPECT_THAT(Complain({server, data}), HasSubstr("--allow_insecure_remote")) << there;
    EXPECT_EQ(Complain({server, data, "--allow_insecure_remote"}), "");
    EXPECT_EQ(Complain({server, data, "--ca_file=" + Write("ca.pem", "x")}), "");
  }
}

TEST_F(WorkerFlagsTest, FilesThatCannotBeUsedAreNamedAndNotTold) {
  const std::vector<std::string> good = {"--server=127.0.0.1:1", "--data_folder=/d"};
  const auto with = [&](const std::string& flag) {
    std::vector<std::string> flags = good;
    flags.push_back(flag);
    return Complain(flags);
  };
  EXPECT_THAT(with("--token_file=" + folder_ / "absent"), HasSubstr("--token_file"));
  EXPECT_THAT(with("--token_file=" + Write("empty", "\n")), HasSubstr("--token_file"));
  const std::string two = with("--token_file=" + Write("two", "secret\nsecret"));
  EXPECT_THAT(two, HasSubstr("--token_file"));
  EXPECT_THAT(two, testing::Not(HasSubstr("secret")));
  EXPECT_THAT(with("--certificate_file=" + Write("pem", "x")), HasSubstr("go together"));
  EXPECT_THAT(with("--ca_file=" + folder_ / "absent"), HasSubstr("--ca_file"));
  EXPECT_THAT(Complain({"--server=127.0.0.1:1", "--data_folder=relative"}), HasSubstr("absolute"));
  EXPECT_THAT(Complain({"--server=127.0.0.1:1"}), HasSubstr("--data_folder"));
}

TEST_F(WorkerFlagsTest, ADataFolderIsKnownByWhatItsServerWroteLast) {
  EXPECT_EQ(ReadDataFolderId(folder_.path()), "");
  EXPECT_FALSE(MarkDataFolder(folder_.path()).ok()) << "there is no artifacts/";
  std::filesystem::create_directory(folder_ / "artifacts");
  const auto first = MarkDataFolder(folder_.path());
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->size(), 32u);
  EXPECT_EQ(ReadDataFolderId(folder_.path()), *first);
  const auto second = MarkDataFolder(folder_.path());
  EXPECT_NE(*second, *first);
  EXPECT_EQ(ReadDataFolderId(folder_.path()), *second);
}

TEST_F(WorkerFlagsTest, APathIsTheSameHoweverItIsWritten) {
  for (const char* path : {"/d/x", "/d/x/", "/d//x", "/d/./x", "/d/y/../x/"}) {
    EXPECT_EQ(NormalFolder(path), "/d/x") << path;
  }
  EXPECT_EQ(NormalFolder("/"), "/");
}

TEST_F(WorkerFlagsTest, TheReadyFileIsThereOnlyWhileConnected) {
  const std::unique_ptr<Log> log = Log::Silent();
  const std::string path = Write("ready", "of an earlier process");
  {
    ReadyFile ready(path, log.get());
    EXPECT_FALSE(std::filesystem::exists(path));
    ready.Touch();
    EXPECT_TRUE(std::filesystem::exists(path));
    ready.Remove();
    EXPECT_FALSE(std::filesystem::exists(path));
    ready.Touch();
  }
  EXPECT_FALSE(std::filesystem::exists(path));
  ReadyFile("", log.get()).Touch();
}

}  // namespace
}  // namespace stockpot
