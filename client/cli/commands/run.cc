// stockpot run: a server of its own, with workers, for one job.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/commands/command.h"
#include "client/cli/commands/follow.h"
#include "client/cli/commands/new_job.h"
#include "client/cli/json_lines.h"
#include "client/cli/paths.h"
#include "client/cli/private_server.h"

namespace stockpot::cli {
namespace {

struct RunFlags {
  NewJobFlags job;
  std::string out = "soup";
  std::string data_folder;
  std::string server_log;
  std::string workers;
  std::vector<std::string> server_flags;
};

absl::StatusOr<int> RunJob(const RunFlags& flags, const CommonFlags& common,
                           Environment& environment) {
  const absl::StatusOr<v1::CreateJobRequest> request = BuildRequest(flags.job);
  if (!request.ok()) return request.status();
  PrivateServer::Options options;
  options.spec = request->job().spec();
  options.log_file = flags.server_log;
  options.flags = flags.server_flags;
  if (!flags.data_folder.empty()) options.data_folder = AbsolutePath(flags.data_folder);
  if (!flags.workers.empty()) options.flags.push_back("--workers=" + flags.workers);
  const auto server = PrivateServer::Start(options, environment);
  if (!server.ok()) return server.status();

  const auto make = [&](CommandContext& context) -> absl::StatusOr<int> {
    const absl::StatusOr<v1::Job> job =
        context.connection.Call(&v1::SoupService::StubInterface::CreateJob, *request);
    if (!job.ok()) return job.status();
    if (common.json) environment.out << ToJson("job", *job) << std::endl;
    return FollowJob(context, *job, {.folder = flags.out, .server_stays = false});
  };
  return AskServerAt({(*server)->address(), "", {}}, common, environment, make);
}

}  // namespace

void AddRunCommand(CLI::App& app, LocalCommand& chosen) {
  CLI::App* command = app.add_subcommand(
      "run",
      "Make a soup on this machine, without a server: one of its own is started for the job and "
      "stopped after it. It reads what you may read, runs the job's architecture, and can be "
      "reached "
      "by nobody else; Ctrl-C ends it and the job");
  const auto flags = std::make_shared<RunFlags>();
  AddNewJobFlags(*command, flags->job);
  command
      ->add_option("-o,--out", flags->out,
                   "Where the soup and its report go (default: soup); files of the same name are "
                   "replaced")
      ->type_name("DIR");
  const std::string server = "Its server";
  command
      ->add_option("--data-folder", flags->data_folder,
                   "Where it keeps decoded data, and what was measured for a later run with the "
                   "same folder (default: a temporary folder, removed at the end)")
      ->type_name("DIR")
      ->group(server);
  command->add_option("--server-log", flags->server_log, "A file that its log goes to")
      ->type_name("FILE")
      ->group(server);
  command
      ->add_option("--workers", flags->workers,
                   "Worker processes (default: one for each card or, without cards, core)")
      ->check(CLI::Range(1, 1024))
      ->type_name("COUNT")
      ->group(server);
  command
      ->add_option("--server-flag", flags->server_flags,
                   "More flags of stockpotd, such as --server-flag=--s3_region=eu-west-1; "
                   "stockpotd --help lists them")
      ->type_name("FLAG")
      ->group(server);
  command->callback([flags, &chosen] {
    chosen = [flags](const CommonFlags& common, Environment& environment) {
      return RunJob(*flags, common, environment);
    };
  });
}

}  // namespace stockpot::cli
