// stockpot report: a job's table again, or as a page, which the Python package makes.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/report_view.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

struct ReportFlags {
  std::string job;
  std::string out;
  std::string figures;
  std::vector<std::string> formats;
  bool dark = false;
};

absl::StatusOr<int> MakePage(const ReportFlags& flags, CommandContext& context,
                             const v1::Job& job) {
  std::vector<std::string> arguments = {"report", "-", absl::StrCat("--out=", flags.out)};
  if (!flags.figures.empty()) arguments.push_back(absl::StrCat("--figures=", flags.figures));
  for (const std::string& format : flags.formats) {
    arguments.push_back(absl::StrCat("--figure-format=", format));
  }
  if (flags.dark) arguments.push_back("--dark");
  return context.environment.become_python(arguments, ToJson(job));
}

absl::StatusOr<int> ShowReport(const ReportFlags& flags, CommandContext& context) {
  const std::string name = JobName(flags.job);
  const absl::StatusOr<v1::Job> job = context.connection.GetJob(name);
  if (!job.ok()) return job.status();
  if (!job->has_report()) {
    return absl::FailedPreconditionError(
        absl::StrCat(name, " has no report yet: it is ", v1::Job::State_Name(job->state())));
  }
  if (!flags.out.empty()) return MakePage(flags, context, *job);
  if (context.flags.json) {
    context.environment.out << ToJson(job->report()) << std::endl;
  } else {
    context.environment.out << FormatReport(job->report(), Style(context.environment.colour))
                            << std::flush;
  }
  return kExitSuccess;
}

}  // namespace

void AddReportCommand(CLI::App& app, Command& chosen) {
  CLI::App* command =
      app.add_subcommand("report", "Show a job's table again, or write its report as a page");
  const auto flags = std::make_shared<ReportFlags>();
  command->add_option("job", flags->job, "jobs/x or x")->required()->type_name("JOB");
  CLI::Option* out =
      command
          ->add_option("-o,--out", flags->out,
                       "Write one page of HTML with figures, that asks no network. The Python "
                       "package makes it: pip install 'client/python[report]'")
          ->type_name("FILE.html");
  CLI::Option* figures =
      command->add_option("--figures", flags->figures, "Write each figure there as a file too")
          ->needs(out)
          ->type_name("DIR");
  command->add_option("--figure-format", flags->formats, "May be given twice (default: svg)")
      ->check(CLI::IsMember({"svg", "png"}))
      ->needs(figures);
  command
      ->add_flag("--dark", flags->dark,
                 "Figures for a dark background; the page follows its reader")
      ->needs(figures);
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) { return ShowReport(*flags, context); };
  });
}

}  // namespace stockpot::cli
