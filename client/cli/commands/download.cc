// stockpot download: brings a finished job's files.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "client/cli/commands/command.h"
#include "client/cli/commands/follow.h"
#include "client/cli/text.h"

namespace stockpot::cli {

void AddDownloadCommand(CLI::App& app, Command& chosen) {
  struct Flags {
    std::string job;
    std::string out;
    std::vector<std::string> files;
  };
  CLI::App* command = app.add_subcommand(
      "download", "Download a finished job's files, verified; goes on where it stopped");
  const auto flags = std::make_shared<Flags>();
  command->add_option("job", flags->job, "jobs/x or x")->required()->type_name("JOB");
  command
      ->add_option("-o,--out", flags->out, "Made when missing; files of the same name are replaced")
      ->required()
      ->type_name("DIR");
  command->add_option("--file", flags->files, "Only these (default: all)")->type_name("FILE");
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) -> absl::StatusOr<int> {
      const absl::StatusOr<v1::Job> job = context.connection.GetJob(JobName(flags->job));
      if (!job.ok()) return job.status();
      const absl::Status status = DownloadFiles(context, *job, flags->out, flags->files);
      if (!status.ok()) return status;
      return kExitSuccess;
    };
  });
}

}  // namespace stockpot::cli
