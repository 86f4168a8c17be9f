#include "client/cli/channel_security.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "tests/support/temporary_folder.h"

namespace stockpot::cli {
namespace {

using testing::HasSubstr;
using testing::Not;

TEST(ChannelSecurity, ATokenGoesInPlaintextToThisMachineOnly) {
  SecurityFlags flags;
  flags.token = "secret";
  for (const char* server : {"127.0.0.1:1", "localhost:1", "[::1]:1", "unix:/run/stockpot"}) {
    EXPECT_TRUE(OpenChannelSecurity(flags, server).ok()) << server;
  }
  for (const char* server : {"10.0.0.1:1", "example.com:1", "localhost.example.com:1"}) {
    const auto security = OpenChannelSecurity(flags, server);
    EXPECT_TRUE(absl::IsInvalidArgument(security.status())) << server;
    EXPECT_THAT(std::string(security.status().message()), HasSubstr("--tls")) << server;
  }
  flags.allow_insecure_token = true;
  EXPECT_EQ(OpenChannelSecurity(flags, "10.0.0.1:1")->token, "secret");
  flags.token = "";
  flags.allow_insecure_token = false;
  EXPECT_TRUE(OpenChannelSecurity(flags, "10.0.0.1:1").ok());
}

TEST(ChannelSecurity, FilesAreReadAndNeverRepeated) {
  const TemporaryFolder folder;
  const auto write = [&](const std::string& name, const std::string& text) {
    std::ofstream(folder / name) << text;
    return folder / name;
  };
  SecurityFlags flags;
  flags.token_file = write("token", " secret\n");
  EXPECT_EQ(OpenChannelSecurity(flags, "localhost:1")->token, "secret");
  flags.token_file = write("token", "sec ret\n");
  EXPECT_THAT(std::string(OpenChannelSecurity(flags, "localhost:1").status().message()),
              Not(HasSubstr("ret\n")));
  flags.token_file = folder / "absent";
  EXPECT_THAT(std::string(OpenChannelSecurity(flags, "localhost:1").status().message()),
              HasSubstr("--token-file"));
  flags.token_file.clear();
  flags.ca_file = folder / "absent";
  EXPECT_THAT(std::string(OpenChannelSecurity(flags, "example.com:1").status().message()),
              HasSubstr("--ca-file"));
  flags.ca_file = write("ca", "PEM");
  flags.certificate_file = folder / "ca";
  EXPECT_THAT(std::string(OpenChannelSecurity(flags, "example.com:1").status().message()),
              HasSubstr("--key-file"));
}

}  // namespace
}  // namespace stockpot::cli
