// stockpot watch: follows a job to its end.
#include "client/cli/watch.h"

#include <CLI/CLI.hpp>
#include <memory>

#include "client/cli/commands/command.h"
#include "client/cli/commands/follow.h"
#include "client/cli/text.h"

namespace stockpot::cli {

void AddWatchCommand(CLI::App& app, Command& chosen) {
  struct Flags {
    std::string job;
    std::string out;
    int64_t after_sequence = 0;
  };
  CLI::App* command = app.add_subcommand("watch", "Follow a job to its end");
  const auto flags = std::make_shared<Flags>();
  command->add_option("job", flags->job, "jobs/x or x")->required()->type_name("JOB");
  command->add_option("-o,--out", flags->out, "Download the finished job's files there")
      ->type_name("DIR");
  command->add_option("--after", flags->after_sequence, "Show the events after this sequence only");
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) -> absl::StatusOr<int> {
      const absl::StatusOr<v1::Job> job = context.connection.GetJob(JobName(flags->job));
      if (!job.ok()) return job.status();
      return FollowJob(context, *job, {flags->after_sequence, flags->out});
    };
  });
}

}  // namespace stockpot::cli
