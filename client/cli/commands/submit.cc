// stockpot submit: makes a job of flags, a file, or both, and follows it when asked.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "client/cli/commands/command.h"
#include "client/cli/commands/follow.h"
#include "client/cli/commands/new_job.h"
#include "client/cli/json_lines.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

struct SubmitFlags {
  NewJobFlags job;
  std::string job_id;
  std::string request_id;
  bool validate_only = false;
  bool watch = false;
  std::string out;
};

void PrintCreated(CommandContext& context, const v1::Job& job, const SubmitFlags& flags) {
  std::ostream& out = context.environment.out;
  if (context.flags.json) {
    out << ToJson("job", job) << std::endl;
  } else if (flags.validate_only) {
    if (!context.flags.quiet) out << "valid: nothing was submitted" << std::endl;
  } else {
    out << job.name() << std::endl;
    if (!context.flags.quiet && !flags.watch) {
      out << "watch it with: stockpot watch " << JobId(job.name()) << std::endl;
    }
  }
}

absl::StatusOr<int> Submit(const SubmitFlags& flags, CommandContext& context) {
  absl::StatusOr<v1::CreateJobRequest> request = BuildRequest(flags.job);
  if (!request.ok()) return request.status();
  request->set_job_id(JobId(flags.job_id));
  if (!flags.request_id.empty()) request->set_request_id(flags.request_id);
  request->set_validate_only(flags.validate_only);
  const absl::StatusOr<v1::Job> job =
      context.connection.Call(&v1::SoupService::StubInterface::CreateJob, *request);
  if (!job.ok()) return job.status();
  PrintCreated(context, *job, flags);
  if (flags.validate_only || !flags.watch) return kExitSuccess;
  return FollowJob(context, *job, {.folder = flags.out});
}

}  // namespace

void AddSubmitCommand(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("submit", "Submit a job, as flags or as a file");
  const auto flags = std::make_shared<SubmitFlags>();
  AddNewJobFlags(*command, flags->job);
  command->add_option("--job-id", flags->job_id, "The job's name: [a-z0-9-]{1,63}");
  command->add_option("--request-id", flags->request_id,
                      "The same request id makes no second job (default: a random UUID)");
  command->add_flag("--validate-only", flags->validate_only, "Check the job without submitting it");
  command->add_flag("-w,--watch", flags->watch, "Follow the job to its end");
  command
      ->add_option("-o,--out", flags->out, "Download the finished job's files there; watches too")
      ->type_name("DIR");
  command->callback([flags, &chosen] {
    flags->watch = flags->watch || !flags->out.empty();
    chosen = [flags](CommandContext& context) { return Submit(*flags, context); };
  });
}

}  // namespace stockpot::cli
