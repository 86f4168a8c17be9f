// What an operator configures: the configuration file, limits, the drain, the check of the store.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/support/raw_call.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

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

}  // namespace
}  // namespace stockpot
