// Servers by name: the file, the commands on it, and what beats what.
#include "client/cli/contexts.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "tests/client/cli/fake_soup_service.h"

namespace stockpot::cli {
namespace {

namespace fs = std::filesystem;
using testing::HasSubstr;
using testing::Not;

TEST(ContextFile, WhereThereIsNoneNoContextIsFound) {
  EXPECT_TRUE(ReadContexts("")->targets.empty());
  ClientHarness client;
  EXPECT_EQ(client.Run({"get", "x", "--context", "lab"}).code, 2);
  EXPECT_EQ(client.Run({"get", "x"}).code, 0);
}

class Context : public testing::Test {
 protected:
  Context() {
    std::ofstream(client_.folder / "token") << "of-the-file\n";
    client_.without_address = true;
    EXPECT_EQ(client_.Run({"context", "list"}).out, "") << "no file, no contexts";
    const auto set = client_.Run({"context", "set", "lab", "--server", client_.address, "--client",
                                  "me", "--token-file", client_.folder / "token"});
    EXPECT_EQ(set.code, 0) << set.error;
  }
  // Asks the server: the client and the token that it saw.
  std::string Seen(const std::vector<std::string>& flags = {}) {
    std::vector<std::string> arguments = {"get", "x"};
    arguments.insert(arguments.end(), flags.begin(), flags.end());
    const auto outcome = client_.Run(arguments);
    EXPECT_EQ(outcome.code, 0) << outcome.error;
    return client_.service.clients().back() + "/" + client_.service.authorizations().back();
  }

  ClientHarness client_;
  const std::string file_ = client_.folder / "config/contexts.yaml";
};

TEST_F(Context, TheFirstIsTheCurrentOneAndOthersAreUsedByName) {
  EXPECT_EQ(Seen(), "me/Bearer of-the-file");
  const std::string nowhere = "unix:" + (client_.folder / "none");
  EXPECT_EQ(client_.Run({"context", "set", "nowhere", "--server", nowhere}).code, 0);
  EXPECT_EQ(Seen(), "me/Bearer of-the-file") << "still the first";
  EXPECT_EQ(client_.Run({"get", "x", "--context", "nowhere"}).code, 4);
  client_.context = "nowhere";
  EXPECT_EQ(client_.Run({"get", "x"}).code, 4) << "STOCKPOT_CONTEXT";
  EXPECT_EQ(Seen({"--context", "lab"}), "me/Bearer of-the-file") << "the flag wins";
  client_.context = "";
  EXPECT_EQ(client_.Run({"context", "use", "nowhere"}).code, 0);
  EXPECT_EQ(client_.Run({"get", "x"}).code, 4);
  EXPECT_EQ(client_.Run({"context", "delete", "nowhere"}).code, 0);
  const auto unknown = client_.Run({"get", "x", "--context", "nowhere"});
  EXPECT_EQ(unknown.code, 2);
  EXPECT_THAT(unknown.error, HasSubstr("no context 'nowhere'; there are lab"));
}

TEST_F(Context, FlagsBeatTheEnvironmentWhichBeatsTheContext) {
  client_.client = "of-the-environment";
  EXPECT_EQ(Seen(), "of-the-environment/Bearer of-the-file");
  EXPECT_EQ(Seen({"--client", "of-the-flag"}), "of-the-flag/Bearer of-the-file");
}

TEST_F(Context, AnotherServerGetsNothingOfIt) {
  EXPECT_EQ(Seen({"--server", client_.address}), "/");
  client_.without_address = false;  // STOCKPOT_SERVER
  EXPECT_EQ(Seen(), "/");
  EXPECT_EQ(Seen({"--context", "lab"}), "me/Bearer of-the-file");
  EXPECT_EQ(client_.Run({"get", "x", "--context", "lab", "--server", client_.address}).code, 2);
}

TEST_F(Context, ListShowsThemAndTheFileHoldsNoToken) {
  EXPECT_EQ(client_.Run({"context", "set", "b", "--server", "h:1", "--ca-file", "/ca"}).code, 0);
  const auto list = client_.Run({"context", "list"});
  EXPECT_THAT(list.out, HasSubstr("*  lab   unix:"));
  EXPECT_THAT(list.out, HasSubstr("   b     h:1"));
  const std::string lines = client_.Run({"context", "list", "--json"}).out;
  const auto json = nlohmann::json::parse(lines.substr(0, lines.find('\n')));
  EXPECT_EQ(json["name"], "b");
  EXPECT_EQ(json["tls"], true);
  EXPECT_EQ(json["current"], false);
  std::ifstream stream(file_);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  EXPECT_THAT(text, Not(HasSubstr("of-the-file")));
  EXPECT_EQ(fs::status(file_).permissions(), fs::perms::owner_read | fs::perms::owner_write);
}

TEST_F(Context, CommandsThatAskNoServerDoNotMind) {
  std::ofstream(file_) << "contexts: {lab: {}}";
  EXPECT_EQ(client_.Run({"init", "-"}).code, 0);
  EXPECT_EQ(client_.Run({"get", "x"}).code, 2);
  EXPECT_EQ(client_.Run({"context", "set", "a"}).code, 2);
}

struct BadContexts {
  const char* name;
  const char* text;
  const char* expected;
};

class BadContextFile : public testing::TestWithParam<BadContexts> {};

TEST_P(BadContextFile, IsRefusedWithThePlace) {
  const TemporaryFolder folder;
  const std::string path = folder / "contexts.yaml";
  std::ofstream(path) << GetParam().text;
  const absl::Status status = ReadContexts(path).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), testing::StartsWith(path + ": "));
  EXPECT_THAT(std::string(status.message()), HasSubstr(GetParam().expected));
}

INSTANTIATE_TEST_SUITE_P(
    Each, BadContextFile,
    testing::Values(
        BadContexts{"Token", "contexts:\n  lab:\n    server: h:1\n    token: abc\n",
                    "contexts.lab.token (line 4, column 5): a secret"},
        BadContexts{"NoServer", "contexts: {lab: {client: me}}",
                    "contexts.lab (line 1, column 12)"},
        BadContexts{"Unknown", "contexts: {lab: {server: h, sever: h}}",
                    "sever (line 1, column 29): expected one of tls, server, client, ca_file"},
        BadContexts{"NotText", "contexts: {lab: {server: 8433}}", "expected a string"},
        BadContexts{"UnknownAtTheTop", "context: lab", "context (line 1, column 1): expected curr"},
        BadContexts{"NotAMap", "[1]", "expected `current`"},
        BadContexts{"Syntax", "contexts: {", "line 1, column"}),
    [](const auto& test) { return test.param.name; });

TEST(Contexts, ComeBackAsTheyWereWritten) {
  const TemporaryFolder folder;
  Contexts contexts;
  contexts.current = "a: b";
  Target& target = contexts.targets["a: b"];
  target = {"true", "me", {}};
  target.security.tls = true;
  target.security.key_file = "/k \"ey\"";
  ASSERT_TRUE(WriteContexts(folder / "new/contexts.yaml", contexts).ok());
  const auto read = ReadContexts(folder / "new/contexts.yaml");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->current, "a: b");
  const Target& again = read->targets.at("a: b");
  EXPECT_EQ(again.server, "true");
  EXPECT_EQ(again.client, "me");
  EXPECT_TRUE(again.security.tls);
  EXPECT_EQ(again.security.key_file, "/k \"ey\"");
  std::ofstream(folder / "c.yaml") << "contexts: {l: {server: h, token_file: token}}";
  EXPECT_EQ(ReadContexts(folder / "c.yaml")->targets.at("l").security.token_file, folder / "token");
}

}  // namespace
}  // namespace stockpot::cli
