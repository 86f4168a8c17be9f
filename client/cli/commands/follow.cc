#include "client/cli/commands/follow.h"

#include <memory>

#include "client/cli/download.h"
#include "client/cli/errors.h"
#include "client/cli/json_lines.h"
#include "client/cli/text.h"
#include "client/cli/watch.h"
#include "client/cli/watch_view.h"

namespace stockpot::cli {

absl::Status DownloadFiles(CommandContext& context, const v1::Job& job, const std::string& folder,
                           const std::vector<std::string>& files) {
  DownloadOptions options{folder, files, context.flags.reconnect_timeout(), {}};
  options.on_file = [&context](const v1::ArtifactFile& file, const std::string& path) {
    if (context.flags.json) {
      v1::ArtifactFile local = file;
      local.set_file(path);
      context.environment.out << ToJson("file", local) << std::endl;
    } else if (!context.flags.quiet) {
      context.environment.out << "saved " << Printable(path) << " ("
                              << FormatBytes(file.size_bytes()) << ")" << std::endl;
    }
  };
  return Download(context.connection, context.environment, job, options);
}

int ReportOutcome(CommandContext& context, const v1::Job& job) {
  if (job.state() == v1::Job::SUCCEEDED) return kExitSuccess;
  if (job.state() == v1::Job::FAILED) {
    context.environment.error << FormatError(Annotate(FromRpc(job.error()), job.name() + " failed"),
                                             Style(context.environment.error_colour));
    return kExitJobFailed;
  }
  context.environment.error << job.name() << " was cancelled\n";
  return kExitCancelled;
}

absl::StatusOr<int> FollowJob(CommandContext& context, const v1::Job& job,
                              const FollowOptions& options) {
  Environment& environment = context.environment;
  const std::unique_ptr<WatchView> view =
      MakeWatchView(environment, job, context.flags.json, context.flags.quiet);
  const absl::StatusOr<v1::Job> ended =
      Watch(context.connection, environment, job.name(),
            {context.flags.reconnect_timeout(), options.after_sequence}, *view);
  view->Leave();
  if (environment.interruption.triggered()) {
    const std::string id = JobId(job.name());
    if (options.server_stays) {
      environment.error << "\n"
                        << job.name() << " goes on. To watch it: stockpot watch " << id
                        << "   To cancel it: stockpot cancel " << id << "\n";
    }
    return kExitInterrupted;
  }
  if (!ended.ok()) return ended.status();
  view->OnEnd(*ended);
  if (!options.folder.empty() && ended->state() == v1::Job::SUCCEEDED) {
    const absl::Status status = DownloadFiles(context, *ended, options.folder, {});
    if (!status.ok()) return status;
  } else if (options.server_stays && !ended->artifacts().empty() && !context.flags.json &&
             !context.flags.quiet) {
    environment.out << "get the soup with: stockpot download " << JobId(job.name()) << " --out DIR"
                    << std::endl;
  }
  return ReportOutcome(context, *ended);
}

}  // namespace stockpot::cli
