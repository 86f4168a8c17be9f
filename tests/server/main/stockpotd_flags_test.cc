// The command line and the configuration file of stockpotd.
#include "server/main/stockpotd_flags.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <string>
#include <vector>

#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Flags : public testing::Test {
 protected:
  // The exit code, -1 to go on; `words_` is what was printed.
  int Parse(std::vector<const char*> arguments) {
    arguments.insert(arguments.begin(), "stockpotd");
    flags_ = StockpotdFlags();
    testing::internal::CaptureStderr();
    testing::internal::CaptureStdout();
    const int code =
        ParseStockpotdFlags(static_cast<int>(arguments.size()), arguments.data(), &flags_)
            .value_or(-1);
    words_ = testing::internal::GetCapturedStderr() + testing::internal::GetCapturedStdout();
    return code;
  }
  int ParseFile(const std::string& text, std::vector<const char*> more = {}) {
    std::ofstream(file_) << text;
    more.insert(more.begin(), flag_.c_str());
    return Parse(more);
  }

  TemporaryFolder folder_;
  const std::string file_ = folder_ / "stockpotd.yaml";
  const std::string flag_ = "--config=" + file_;
  StockpotdFlags flags_;
  std::string words_;
};

TEST_F(Flags, HaveDefaults) {
  ASSERT_EQ(Parse({}), -1) << words_;
  EXPECT_EQ(flags_.limits.max_unfinished_jobs, 1000);
  EXPECT_EQ(flags_.retention.age, absl::InfiniteDuration());
  EXPECT_EQ(flags_.drain_delay, absl::ZeroDuration());
  EXPECT_EQ(flags_.drain_timeout, absl::Seconds(10));
  EXPECT_EQ(flags_.worker_lease, absl::Seconds(30));
}

TEST_F(Flags, ReadLimitsRetentionAndDurations) {
  ASSERT_EQ(Parse({"--max_unfinished_jobs=5", "--max_unfinished_jobs_of_client=2",
                   "--max_unfinished_ingredients=900", "--max_unfinished_ingredients_of_client=30",
                   "--max_artifact_bytes=5000000000000", "--max_artifact_bytes_of_client=7",
                   "--max_waiting_inspections=8", "--max_waiting_inspections_of_client=2",
                   "--retain_jobs_for=720h", "--retain_artifact_bytes=123456789012",
                   "--retention_check_every=1s", "--task_timeout=1h30m", "--worker_lease=45s",
                   "--drain_delay=500ms", "--drain_timeout=2m", "--allowed_output_root=/a",
                   "--allowed_output_root=/b"}),
            -1)
      << words_;
  EXPECT_EQ(flags_.limits.max_unfinished_jobs, 5);
  EXPECT_EQ(flags_.limits.max_unfinished_jobs_of_client, 2);
  EXPECT_EQ(flags_.limits.max_unfinished_ingredients, 900);
  EXPECT_EQ(flags_.limits.max_unfinished_ingredients_of_client, 30);
  EXPECT_EQ(flags_.limits.max_artifact_bytes, 5'000'000'000'000);
  EXPECT_EQ(flags_.limits.max_artifact_bytes_of_client, 7);
  EXPECT_EQ(flags_.limits.max_waiting_inspections, 8);
  EXPECT_EQ(flags_.limits.max_waiting_inspections_of_client, 2);
  EXPECT_EQ(flags_.retention.age, absl::Hours(720));
  EXPECT_EQ(flags_.retention.artifact_bytes, 123'456'789'012);
  EXPECT_EQ(flags_.retention.check_every, absl::Seconds(1));
  EXPECT_EQ(flags_.task_timeout, absl::Minutes(90));
  EXPECT_EQ(flags_.worker_lease, absl::Seconds(45));
  EXPECT_EQ(flags_.drain_delay, absl::Milliseconds(500));
  EXPECT_EQ(flags_.drain_timeout, absl::Minutes(2));
  EXPECT_THAT(flags_.allowed_output_roots, ElementsAre("/a", "/b"));
  EXPECT_EQ(Parse({"--retain_jobs_for=inf"}), -1);
}

TEST_F(Flags, RefuseWhatIsNoDurationAndSayWhatIs) {
  for (const char* flag : {"--drain_timeout=10", "--drain_timeout=-1s", "--drain_delay=inf",
                           "--worker_lease=1ms", "--task_timeout=soon", "--retain_jobs_for=0s"}) {
    EXPECT_EQ(Parse({flag}), kExitBadFlags) << flag;
    EXPECT_THAT(words_, HasSubstr("is not a duration such as 90s")) << flag;
  }
  EXPECT_EQ(Parse({"--max_artifact_bytes=-1"}), kExitBadFlags);
}

TEST_F(Flags, WorkersOnOtherMachinesWantCredentialsAndTheSameFolder) {
  const auto complain = [&](std::vector<const char*> arguments) {
    arguments.push_back("--workers=0");
    EXPECT_EQ(Parse(arguments), -1) << words_;
    return std::string(CheckStockpotdFlags(flags_).message());
  };
  EXPECT_EQ(complain({"--data_folder=/d"}), "");
  EXPECT_EQ(complain({"--worker_listen=off", "--data_folder=d"}), "");
  EXPECT_EQ(complain({"--worker_listen=127.0.0.1:1", "--data_folder=/d"}), "");
  EXPECT_THAT(complain({"--worker_listen=127.0.0.1:1", "--data_folder=d"}), HasSubstr("absolute"));
  EXPECT_THAT(complain({"--worker_listen=0.0.0.0:1", "--data_folder=/d"}),
              testing::AllOf(HasSubstr("--tls_certificate_file"), HasSubstr("--access_file")));
  EXPECT_EQ(complain({"--worker_listen=0.0.0.0:1", "--data_folder=/d", "--allow_insecure_remote"}),
            "");
}

TEST(DefaultWorkers, OneForEachDeviceOrCore) {
  const struct {
    const char* device;
    int cores, cards, workers;
  } cases[] = {{"auto", 2, 0, 2}, {"auto", 64, 0, 8},   {"auto", 64, 4, 4},
               {"cpu", 4, 4, 4},  {"cuda:1", 64, 4, 1}, {"auto", 1, 0, 1}};
  for (const auto& entry : cases) {
    EXPECT_EQ(DefaultWorkers(entry.device, entry.cores, entry.cards), entry.workers)
        << entry.device << " " << entry.cores << " " << entry.cards;
  }
}

TEST_F(Flags, ComeFromAFileUnderTheSameNames) {
  ASSERT_EQ(ParseFile("# comment\n"
                      "workers: 3\n"
                      "listen: 127.0.0.1:9999\n"
                      "allowed_root: [/data, '/scratch 2']\n"
                      "allowed_architecture_prefix: /arch\n"
                      "allowed_compiled_architecture_prefix: /arch/compiled\n"
                      "verbose: true\n"
                      "allow_insecure_remote: false\n"
                      "drain_timeout: 30s\n"
                      "max_artifact_bytes: 1000000000000\n"),
            -1)
      << words_;
  EXPECT_EQ(flags_.workers, 3);
  EXPECT_EQ(flags_.listen, "127.0.0.1:9999");
  EXPECT_THAT(flags_.allowed_roots, ElementsAre("/data", "/scratch 2"));
  EXPECT_THAT(flags_.allowed_architecture_prefixes, ElementsAre("/arch"));
  EXPECT_THAT(flags_.allowed_compiled_architecture_prefixes, ElementsAre("/arch/compiled"));
  EXPECT_TRUE(flags_.verbose);
  EXPECT_FALSE(flags_.allow_insecure_remote);
  EXPECT_EQ(flags_.drain_timeout, absl::Seconds(30));
  EXPECT_EQ(flags_.limits.max_artifact_bytes, 1'000'000'000'000);
  EXPECT_EQ(ParseFile(""), -1) << "an empty file says nothing";
}

TEST_F(Flags, OfTheCommandLineWinOverTheFile) {
  ASSERT_EQ(ParseFile("workers: 3\nallowed_root: [/data]\ndrain_timeout: soon\n",
                      {"--workers=1", "--allowed_root=/mine", "--drain_timeout=1s"}),
            -1)
      << words_;
  EXPECT_EQ(flags_.workers, 1);
  EXPECT_THAT(flags_.allowed_roots, ElementsAre("/mine"));
  EXPECT_EQ(ParseFile("workers: 3\n", {"--workers=many"}), kExitBadFlags);
  EXPECT_THAT(words_, testing::Not(HasSubstr("stockpotd.yaml"))) << "not the file's fault";
}

TEST_F(Flags, OfAFileThatAreWrongAreNamedWithFileAndLine) {
  const std::pair<const char*, const char*> cases[] = {
      {"workers: 1\nworker: 2\n", ":2: 'worker' is not a flag"},
      {"workers: many\n", ":1: --workers: Value many not in range"},
      {"\n\nworkers: 5000\n", ":3: --workers: Value 5000 not in range"},
      {"workers: [1, 2]\n", ":1: workers: expected one value"},
      {"workers: {a: 1}\n", ":1: workers: expected one value"},
      {"workers:\n", ":1: workers: expected one value"},
      {"workers: 1\nworkers: 2\n", ":2: 'workers' is given twice"},
      {"verbose: maybe\n", ":1: verbose: expected true or false"},
      {"drain_timeout: 10\n", ":1: --drain_timeout: '10' is not a duration"},
      {"allowed_root: [[/a]]\n", ":1: allowed_root: expected a value"},
      {"config: other.yaml\n", ":1: 'config' is not a flag that a file may give"},
      {"check_store: true\n", ":1: 'check_store' is not a flag that a file may give"},
      {"help: true\n", ":1: 'help' is not a flag that a file may give"},
      {"- workers\n", ":1: expected lines such as 'workers: 2'"},
      {"workers: 'open\n", ":"},
      {"max_unfinished_jobs: 3\nmax_unfinished_jobs_of_client: x\n",
       ":2: --max_unfinished_jobs_of_"},
  };
  for (const auto& [text, message] : cases) {
    EXPECT_EQ(ParseFile(text), kExitBadFlags) << text;
    EXPECT_THAT(words_, HasSubstr(file_ + message)) << text;
  }
  EXPECT_EQ(Parse({"--config=/none/stockpotd.yaml"}), kExitBadFlags);
  EXPECT_THAT(words_, HasSubstr("/none/stockpotd.yaml"));
}

TEST_F(Flags, OfRemoteFilesComeFromAFileAndGoToWorkers) {
  ASSERT_EQ(ParseFile("allowed_uri_prefix: ['https://models.example.com/team/', 'hf://org/']\n"
                      "allowed_private_host: models.intern\n"
                      "hf_token_file: /etc/stockpot/hf\n"
                      "s3_endpoint: https://minio.intern:9000\n"
                      "s3_anonymous: true\n"
                      "allowed_output_uri_prefix: s3://soups/\n"
                      "max_download_bytes: 1000000\n"),
            -1)
      << words_;
  EXPECT_THAT(
      ToArguments(flags_.remote),
      ElementsAre("--allowed_uri_prefix=https://models.example.com/team/",
                  "--allowed_uri_prefix=hf://org/", "--allowed_output_uri_prefix=s3://soups/",
                  "--allowed_private_host=models.intern", "--hf_token_file=/etc/stockpot/hf",
                  "--s3_endpoint=https://minio.intern:9000", "--s3_anonymous",
                  "--max_download_bytes=1000000"));
  EXPECT_EQ(Parse({"--max_download_bytes=0"}), kExitBadFlags);
}

TEST_F(Flags, OfRemoteFilesAreCheckedBeforeAnythingStarts) {
  const std::pair<const char*, const char*> cases[] = {
      {"--allowed_uri_prefix=/data", "--allowed_uri_prefix"},
      {"--allowed_uri_prefix=https://user@host/", "user name"},
      {"--allowed_architecture_prefix=hf://org/repo@main", "commit"},
      {"--allowed_compiled_architecture_prefix=arch", "--allowed_compiled_architecture_prefix"},
      {"--allowed_redirect_host=https://cdn", "--allowed_redirect_host"},
      {"--remote_tokens_file=/none", "--remote_tokens_file"},
      {"--hf_token_file=/none", "--hf_token_file"},
      {"--remote_ca_file=/none", "--remote_ca_file"},
      {"--hf_endpoint=huggingface.co", "--hf_endpoint"},
      {"--allowed_private_host=intern:8080", "--allowed_private_host"},
      {"--remote_proxy=http://user:secret@proxy:3128", "--remote_proxy"},
      {"--s3_endpoint=minio:9000", "--s3_endpoint"},
      {"--s3_endpoint=http://minio:9000/path", "--s3_endpoint"},
      {"--s3_endpoint=http://key:secret@minio:9000", "--s3_endpoint"},
      {"--s3_region=eu central", "--s3_region"},
      {"--s3_addressing=both", "--s3_addressing"},
      {"--s3_addressing=path", "--s3_endpoint"},
      {"--s3_credentials_file=/none", "--s3_credentials_file"},
      {"--s3_profile=team", "--s3_credentials_file"},
      {"--allowed_output_uri_prefix=https://host/", "--allowed_output_uri_prefix"},
      {"--allowed_output_uri_prefix=abfs://container/", "--azure_account"},
      {"--gcs_endpoint=emulator:4443", "--gcs_endpoint"},
      {"--gcs_credentials_file=/none", "--gcs_credentials_file"},
      {"--gcs_credentials_file=/proc/self/comm", "--gcs_credentials_file"},
      {"--allowed_uri_prefix=az://container/", "--azure_account"},
      {"--azure_account=my-account", "--azure_account"},
      {"--azure_endpoint=http://emulator/path", "--azure_endpoint"},
      {"--azure_account_key_file=/none", "--azure_account_key_file"},
      {"--azure_sas_token_file=/none", "--azure_sas_token_file"},
  };
  for (const auto& [flag, says] : cases) {
    ASSERT_EQ(Parse({"--workers=0", flag}), -1) << words_;
    const std::string message(CheckStockpotdFlags(flags_).message());
    EXPECT_THAT(message, HasSubstr(says)) << flag;
    EXPECT_THAT(message, testing::Not(HasSubstr("secret")));
  }
  ASSERT_EQ(Parse({"--workers=0", "--allowed_uri_prefix=hf://org", "--allowed_private_host=::1"}),
            -1);
  EXPECT_TRUE(CheckStockpotdFlags(flags_).ok());
}

TEST_F(Flags, HelpTellsOfFileAndExitCodes) {
  EXPECT_EQ(Parse({"--help"}), 0);
  for (const char* words : {"--config", "Exit codes", "--retain_jobs_for", "--check_store"}) {
    EXPECT_THAT(words_, HasSubstr(words));
  }
  EXPECT_EQ(Parse({"--version"}), 0);
  EXPECT_EQ(Parse({"--nonsense"}), kExitBadFlags);
}

}  // namespace
}  // namespace stockpot
