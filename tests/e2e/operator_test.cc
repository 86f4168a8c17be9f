// What an operator configures: the configuration file, limits, the drain, the check of the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "tests/e2e/picture_sweep.h"
#include "tests/support/certificates/certificates.h"
#include "tests/support/raw_call.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

// CreateJob as a client of this name.
grpc::Status Create(ServerProcess& server, const v1::JobSpec& spec, const std::string& client,
                    bool validate_only = false, v1::Job* job = nullptr) {
  grpc::ClientContext context;
  if (!client.empty()) context.AddMetadata("stockpot-client", client);
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  request.set_validate_only(validate_only);
  v1::Job ignored;
  return server.stub().CreateJob(&context, request, job == nullptr ? &ignored : job);
}

v1::Capabilities CapabilitiesOf(ServerProcess& server) {
  grpc::ClientContext context;
  v1::Capabilities capabilities;
  const grpc::Status status =
      server.stub().GetCapabilities(&context, v1::GetCapabilitiesRequest(), &capabilities);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return capabilities;
}

// Files of a folder that goes with it.
struct WrittenFiles {
  std::string operator()(const std::string& name, const std::string& text) const {
    std::ofstream(folder / name) << text;
    return folder / name;
  }
  const TemporaryFolder folder;
};

bool SaysThatItServes(ServerProcess& server) {
  std::string response;
  return RawCall(server.channel(), "/grpc.health.v1.Health/Check", "", &response).ok() &&
         response == "\x08\x01";
}

TEST(Operator, OneConfigurationFileHasTheFlagsNames) {
  TemporaryFolder folder;
  const std::string path = folder / "stockpotd.yaml";
  std::ofstream(path) << "max_unfinished_jobs: 5\n"
                         "max_unfinished_jobs_of_client: 2\n"
                         "allowed_output_root: [/a, /b]\n"
                         "drain_timeout: 1s\n";
  ServerProcess server({.workers = 0, .flags = {"--config=" + path, "--max_unfinished_jobs=7"}});
  const v1::Capabilities::Limits limits = CapabilitiesOf(server).limits();
  EXPECT_EQ(limits.max_unfinished_jobs_of_client(), 2);
  EXPECT_EQ(limits.max_unfinished_jobs(), 7) << "the command line wins";

  EXPECT_EQ(RunProgram({ProgramPath("stockpotd"), "--config=" + path, "--check_config"}).exit_code,
            0);
  std::ofstream(path, std::ios::app) << "worker: 3\n";
  const ProgramResult bad =
      RunProgram({ProgramPath("stockpotd"), "--config=" + path, "--check_config"});
  EXPECT_EQ(bad.exit_code, 2);
  EXPECT_THAT(bad.output, HasSubstr(path + ":5: 'worker' is not a flag"));
}

TEST(Operator, LimitsAreToldWithWhenToComeBack) {
  const TinySweep sweep;
  ServerProcess server({.workers = 0,
                        .flags = {"--max_unfinished_jobs=4", "--max_unfinished_jobs_of_client=2",
                                  "--max_unfinished_ingredients_of_client=4"}});
  v1::JobSpec one = sweep.Spec();
  while (one.ingredients_size() > 1) one.mutable_ingredients()->RemoveLast();
  v1::JobSpec three = sweep.Spec();
  ASSERT_EQ(three.ingredients_size(), 3);
  const auto refused = [&](const v1::JobSpec& spec, const std::string& client) {
    for (const bool validate_only : {true, false}) {
      const grpc::Status status = Create(server, spec, client, validate_only);
      EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED) << client;
      EXPECT_GT(DetailsOf(StatusOf(status)).retry_seconds, 0) << client;
      if (!validate_only) return DetailsOf(StatusOf(status)).reason;
    }
    return std::string();
  };
  EXPECT_TRUE(Create(server, three, "ann").ok());
  EXPECT_EQ(refused(three, "ann"), "TOO_MANY_INGREDIENTS");
  EXPECT_TRUE(Create(server, one, "ann").ok());
  EXPECT_EQ(refused(one, "ann"), "TOO_MANY_JOBS");
  EXPECT_TRUE(Create(server, one, "bob").ok()) << "another client has room";
  EXPECT_TRUE(Create(server, one, "").ok()) << "no name is a client too";
  EXPECT_EQ(refused(one, "cat"), "TOO_MANY_JOBS") << "of all clients";
}

TEST(Operator, ADrainThatIsDelayedServesWithoutReadiness) {
  const TinySweep sweep;
  ServerProcess server({.workers = 0, .flags = {"--drain_delay=5s"}});
  ASSERT_TRUE(SaysThatItServes(server));
  v1::Job job;
  ASSERT_TRUE(Create(server, sweep.Spec(), "", false, &job).ok());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  auto watch = server.stub().WatchJob(&context, request);
  kill(server.process_id(), SIGTERM);
  while (SaysThatItServes(server)) continue;
  EXPECT_EQ(CapabilitiesOf(server).limits().max_ingredients(), 1000);
  EXPECT_TRUE(Create(server, sweep.Spec(), "").ok()) << "who has not noticed is still served";
  v1::JobEvent event;
  while (watch->Read(&event)) continue;
  const grpc::Status end = watch->Finish();
  EXPECT_EQ(end.error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(DetailsOf(StatusOf(end)).reason, "SERVER_STOPPING");
  EXPECT_GT(DetailsOf(StatusOf(end)).retry_seconds, 0);
}

TEST(Operator, TheStoreCanBeCheckedWhenNoServerHasIt) {
  const TinySweep sweep;
  TemporaryFolder data;
  const auto check = [&] {
    return RunProgram({ProgramPath("stockpotd"), "--check_store", "--data_folder=" + (data / "d")});
  };
  EXPECT_EQ(check().exit_code, 1) << "there is none yet";
  std::string name;
  {
    ServerProcess server({.data_folder = data / "d"});
    const v1::Job job = server.Run(sweep.Spec());
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    name = job.name();
    const ProgramResult result = check();
    EXPECT_EQ(result.exit_code, 1);
    EXPECT_THAT(result.output, HasSubstr("another server uses the data folder"));
    server.Kill();
  }
  const ProgramResult sound = check();
  EXPECT_EQ(sound.exit_code, 0) << sound.output;
  EXPECT_THAT(sound.output, testing::AllOf(HasSubstr("1 jobs"), HasSubstr("sound")));
  std::filesystem::remove(data / ("d/artifacts/" + name.substr(5) + "/soup.safetensors"));
  const ProgramResult damaged = check();
  EXPECT_EQ(damaged.exit_code, 3);
  EXPECT_THAT(damaged.output, HasSubstr(name + ": artifact 'soup.safetensors' is missing"));
}

// What is written beside a job's own files is below --allowed_output_root.
TEST(Operator, OutputUriIsFilledOnceWhereItIsAllowed) {
  const TinySweep sweep;
  const TemporaryFolder out;
  ServerProcess server({.flags = {"--allowed_output_root=" + out / "soups"}});
  v1::JobSpec spec = sweep.Spec();
  spec.mutable_output()->set_output_uri(out / "elsewhere");
  EXPECT_EQ(DetailsOf(StatusOf(Create(server, spec, ""))).reason, "OUTPUT_NOT_ALLOWED");
  spec.mutable_output()->set_output_uri(out / "soups/../elsewhere");
  EXPECT_FALSE(Create(server, spec, "").ok());
  spec.mutable_output()->set_output_uri(out / "soups/mine");
  const v1::Job job = server.Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  ASSERT_GE(job.artifacts_size(), 4);
  for (const v1::ArtifactFile& artifact : job.artifacts()) {
    std::ifstream file(out / ("soups/mine/" + artifact.file()), std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    EXPECT_EQ(Sha256Hex(content), artifact.sha256()) << artifact.file();
  }
  EXPECT_EQ(job.artifacts(job.artifacts_size() - 1).file(), "manifest.json");
  // It is the client's: another job may not write over it, and deleting the job leaves it.
  for (const bool validate_only : {true, false}) {
    EXPECT_EQ(DetailsOf(StatusOf(Create(server, spec, "", validate_only))).reason, "OUTPUT_EXISTS");
  }
  grpc::ClientContext context;
  v1::DeleteJobRequest request;
  request.set_name(job.name());
  google::protobuf::Empty nothing;
  ASSERT_TRUE(server.stub().DeleteJob(&context, request, &nothing).ok());
  EXPECT_TRUE(std::filesystem::exists(out / "soups/mine/soup.safetensors"));
  EXPECT_EQ(DetailsOf(StatusOf(Create(server, spec, ""))).reason, "OUTPUT_EXISTS");
}

// The __metadata__ of a safetensors file.
Json MetadataOf(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  uint64_t size = 0;  // little-endian, as this machine is
  file.read(reinterpret_cast<char*>(&size), sizeof(size));
  std::string header(size, ' ');
  file.read(header.data(), static_cast<std::streamsize>(size));
  return Json::parse(header).at("__metadata__");
}

TEST(Operator, ASoupsOwnMetadataSayHowItWasMade) {
  const TinySweep sweep;
  const TemporaryFolder out;
  ServerProcess server({.flags = {"--allowed_output_root=" + out.path()}});
  v1::JobSpec spec = sweep.Spec();
  spec.mutable_recipe()->mutable_uniform();
  spec.mutable_output()->set_output_uri(out / "mine");
  const v1::Job job = server.Run(spec);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  const Json metadata = MetadataOf(out / "mine/soup.safetensors");
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("stockpot.job"), job.name());
  EXPECT_EQ(metadata.at("stockpot.recipe"), job.report().result().recipe());
  EXPECT_EQ(metadata.at("stockpot.architecture"), job.report().result().architecture_digest());
  EXPECT_THAT(job.report().result().numerics(),
              testing::StartsWith(metadata.at("stockpot.numerics").get<std::string>()));
  const Json ingredients = Json::parse(metadata.at("stockpot.ingredients").get<std::string>());
  ASSERT_EQ(ingredients.size(), static_cast<size_t>(job.report().result().ingredients_size()));
  for (int i = 0; i < job.report().result().ingredients_size(); ++i) {
    const v1::IngredientResult& said = job.report().result().ingredients(i);
    const Json& written = ingredients.at(static_cast<size_t>(i));
    EXPECT_EQ(written.at("uri"), said.uri());
    EXPECT_EQ(written.at("sha256"), said.digest());
    EXPECT_EQ(written.at("coefficient"), said.coefficient());
  }
  const Json sets = Json::parse(metadata.at("stockpot.data_sets").get<std::string>());
  EXPECT_EQ(sets.at(0).at("sha256"), job.report().result().data_sets(0).digest());
  EXPECT_GT(sets.at(0).at("score").at("example_count"), 0);
}

// A disk of a few pages, seen by this process and its children alone.
class SmallDisk {
 public:
  explicit SmallDisk(std::string folder) : folder_(std::move(folder)) {
    std::filesystem::create_directories(folder_);
    mounted_ = unshare(CLONE_NEWNS) == 0 &&
               mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0 &&
               mount("tmpfs", folder_.c_str(), "tmpfs", 0, "size=64k") == 0;
  }
  ~SmallDisk() {
    if (mounted_) umount2(folder_.c_str(), MNT_DETACH);
  }
  SmallDisk(const SmallDisk&) = delete;
  SmallDisk& operator=(const SmallDisk&) = delete;

  bool mounted() const { return mounted_; }
  void Fill() const {
    std::ofstream file(folder_ + "/filler");
    while (file << std::string(4096, 'x') << std::flush) continue;
  }
  void Clear() const { std::filesystem::remove(folder_ + "/filler"); }

 private:
  const std::string folder_;
  bool mounted_ = false;
};

TEST(Operator, AFullDiskUnderAWorkersCacheSuspendsTheJobUntilThereIsRoom) {
  const PictureSweep sweep;
  const TemporaryFolder data;
  const SmallDisk disk(data / "d/cache");
  if (!disk.mounted()) GTEST_SKIP() << "needs the right to mount a tmpfs";
  disk.Fill();
  ServerProcess server({.data_folder = data / "d"});
  v1::Job job;
  ASSERT_TRUE(Create(server, sweep.Spec(), "", false, &job).ok());
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(job.name());
  auto watch = server.stub().WatchJob(&context, request);
  v1::JobEvent event;
  bool suspended = false;
  while (!suspended && watch->Read(&event)) {
    ASSERT_FALSE(event.has_attempt_failed()) << event.attempt_failed().message();
    suspended = event.state_changed().state() == v1::Job::SUSPENDED;
  }
  ASSERT_TRUE(suspended) << event.ShortDebugString();
  EXPECT_THAT(event.state_changed().message(), HasSubstr("the disk is full"));
  context.TryCancel();
  disk.Clear();
  job = server.Follow(job.name());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().cost().failed_attempts(), 0);
}

TEST(Operator, TokensOverTlsDecideWhoMayDoWhat) {
  const TinySweep sweep;
  const WrittenFiles write;
  const TestAuthority authority("authority");
  const PemPair pair = authority.Sign("localhost");
  const std::string access =
      write("access", absl::StrCat("a submitter sha256:", Sha256Hex("token-of-a"),
                                   "\nb submitter sha256:", Sha256Hex("token-of-b"), "\n"));
  ServerProcess server(
      {.workers = 1,
       .threads_per_worker = 1,
       .flags = {"--tls_certificate_file=" + write("pem", pair.certificate),
                 "--tls_key_file=" + write("key", pair.key), "--access_file=" + access}});
  const std::string ca = write("ca", authority.certificate());
  const auto run = [&](const std::string& token, std::vector<std::string> command) {
    std::vector<std::string> arguments = {ProgramPath("stockpot"), "--server", server.address(),
                                          "--ca-file", ca};
    if (!token.empty()) {
      arguments.insert(arguments.end(), {"--token-file", write("token", token + "\n")});
    }
    arguments.insert(arguments.end(), command.begin(), command.end());
    return RunProgram(arguments);
  };
  const ProgramResult made =
      run("token-of-a",
          {"submit", "--architecture", sweep / "models/linear.pt", "--ingredients",
           sweep / "good_*.safetensors", "--held-out", sweep / "data.safetensors", "--watch"});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const std::string job = made.output.substr(0, made.output.find('\n'));
  EXPECT_THAT(run("token-of-a", {"list"}).output, HasSubstr("SUCCEEDED"));
  EXPECT_THAT(run("token-of-b", {"list"}).output, Not(HasSubstr("SUCCEEDED")));
  const ProgramResult others = run("token-of-b", {"get", job});
  EXPECT_EQ(others.exit_code, 2);
  EXPECT_THAT(others.output, HasSubstr("ACCESS_DENIED"));
  const ProgramResult nobody = run("", {"list"});
  EXPECT_EQ(nobody.exit_code, 2);
  EXPECT_THAT(nobody.output, HasSubstr("CREDENTIALS_MISSING"));
  EXPECT_THAT(run("guess", {"list"}).output, HasSubstr("CREDENTIALS_INVALID"));
  EXPECT_EQ(RunProgram({ProgramPath("stockpot"), "--server", server.address(), "--call-timeout",
                        "2", "list"})
                .exit_code,
            4)
      << "without TLS nobody answers";
}

TEST(Operator, BeyondLoopbackTlsAndAnAnswerToWhoAsksAreWanted) {
  const WrittenFiles write;
  const TestAuthority authority("authority");
  const PemPair pair = authority.Sign("localhost");
  const std::vector<std::string> tls = {"--tls_certificate_file=" + write("pem", pair.certificate),
                                        "--tls_key_file=" + write("key", pair.key)};
  const std::string access = "--access_file=" + write("access", "");
  const std::string client_ca = "--tls_client_ca_file=" + write("ca", authority.certificate());
  const auto check = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), {ProgramPath("stockpotd"), "--check_config", "--workers=0",
                                 "--listen=0.0.0.0:0", "--data_folder=" + write.folder / "data"});
    return RunProgram(flags).exit_code;
  };
  EXPECT_EQ(check({}), 2);
  EXPECT_EQ(check(tls), 2);
  EXPECT_EQ(check({access}), 2);
  EXPECT_EQ(check({tls[0], tls[1], access}), 0);
  EXPECT_EQ(check({tls[0], tls[1], client_ca}), 0);
  EXPECT_EQ(check({tls[0], tls[1], client_ca, "--tls_client_certificate_optional"}), 2);
  EXPECT_EQ(check({"--allow_insecure_remote"}), 0);
  EXPECT_EQ(check({tls[0], tls[1], access, "--worker_listen=0.0.0.0:0"}), 0);
  EXPECT_EQ(check({tls[0], tls[1], client_ca, "--worker_listen=0.0.0.0:0"}), 2)
      << "every client would be a worker";
  EXPECT_EQ(check({tls[0], "--tls_key_file=" + write.folder / "pem", access}), 2);
  EXPECT_EQ(check({tls[0], tls[1], "--access_file=" + write("bad", "nonsense")}), 2);
}

}  // namespace
}  // namespace stockpot
