// stockpot get, cancel, retry, delete: one call about one job.
#include <google/protobuf/empty.pb.h>

#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/report_view.h"
#include "client/cli/table.h"
#include "client/cli/text.h"
#include "client/cli/watch.h"

namespace stockpot::cli {
namespace {

using Stub = v1::SoupService::StubInterface;

void AddLine(std::string& text, absl::string_view title, absl::string_view value) {
  if (value.empty()) return;
  absl::StrAppend(&text, PadRight(title, 10), "  ", Printable(value), "\n");
}

std::string Describe(const v1::Job& job, const Style& style) {
  std::string text;
  AddLine(text, "name", job.name());
  AddLine(text, "title", job.display_name());
  AddLine(text, "state", v1::Job::State_Name(job.state()));
  AddLine(text, "waits for", job.suspend_reason());
  AddLine(text, "client", job.client());
  for (const auto& [key, value] : job.labels())
    AddLine(text, "label", absl::StrCat(key, "=", value));
  if (job.priority() != 0) AddLine(text, "priority", absl::StrCat(job.priority()));
  AddLine(text, "created", FormatTimestamp(job.create_time()));
  AddLine(text, "started", FormatTimestamp(job.start_time()));
  AddLine(text, "ended", FormatTimestamp(job.end_time()));
  if (!HasEnded(job)) AddLine(text, "activity", job.progress().activity());
  for (const v1::ArtifactFile& file : job.artifacts()) {
    AddLine(text, "file", absl::StrCat(file.file(), " (", FormatBytes(file.size_bytes()), ")"));
  }
  if (job.state() == v1::Job::FAILED) {
    absl::StrAppend(&text, FormatError(FromRpc(job.error()), style));
  }
  const std::string report = FormatReport(job.report(), style);
  return report.empty() ? text : absl::StrCat(text, "\n", report);
}

void PrintJob(const CommandContext& context, const v1::Job& job) {
  Environment& environment = context.environment;
  if (context.flags.json) {
    environment.out << ToJson(job) << std::endl;
  } else {
    environment.out << Describe(job, Style(environment.colour)) << std::flush;
  }
}

absl::StatusOr<int> Get(CommandContext& context, const std::string& name) {
  const absl::StatusOr<v1::Job> job = context.connection.GetJob(name);
  if (!job.ok()) return job.status();
  PrintJob(context, *job);
  return kExitSuccess;
}

// A call that gives the job as it is now.
template <typename Request>
absl::StatusOr<int> Change(CommandContext& context, const std::string& name,
                           grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                        v1::Job*)) {
  Request request;
  request.set_name(name);
  const absl::StatusOr<v1::Job> job = context.connection.Call(method, request);
  if (!job.ok()) return job.status();
  if (context.flags.json) {
    context.environment.out << ToJson(*job) << std::endl;
  } else if (!context.flags.quiet) {
    context.environment.out << job->name() << ": " << v1::Job::State_Name(job->state())
                            << std::endl;
  }
  return kExitSuccess;
}

absl::StatusOr<int> Cancel(CommandContext& context, const std::string& name) {
  return Change(context, name, &Stub::CancelJob);
}

absl::StatusOr<int> Retry(CommandContext& context, const std::string& name) {
  return Change(context, name, &Stub::RetryJob);
}

absl::StatusOr<int> Delete(CommandContext& context, const std::string& name) {
  v1::DeleteJobRequest request;
  request.set_name(name);
  const absl::StatusOr<google::protobuf::Empty> empty =
      context.connection.Call(&Stub::DeleteJob, request);
  if (!empty.ok()) return empty.status();
  if (!context.flags.json && !context.flags.quiet) {
    context.environment.out << name << ": deleted" << std::endl;
  }
  return kExitSuccess;
}

}  // namespace

void AddJobCommands(CLI::App& app, Command& chosen) {
  struct Entry {
    const char* name;
    const char* help;
    absl::StatusOr<int> (*run)(CommandContext&, const std::string&);
  };
  constexpr Entry kEntries[] = {
      {"get", "Show a job as it is now", Get},
      {"cancel", "End a job; what was measured stays known", Cancel},
      {"retry", "Queue a failed or cancelled job again", Retry},
      {"delete", "Remove an ended job and its files from the server", Delete},
  };
  for (const Entry& entry : kEntries) {
    CLI::App* command = app.add_subcommand(entry.name, entry.help);
    const auto job = std::make_shared<std::string>();
    command->add_option("job", *job, "jobs/x or x")->required()->type_name("JOB");
    command->callback([job, run = entry.run, &chosen] {
      chosen = [job, run](CommandContext& context) { return run(context, JobName(*job)); };
    });
  }
}

}  // namespace stockpot::cli
