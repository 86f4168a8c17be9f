// stockpot list: jobs, newest first.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

constexpr int64_t kMaxPage = 1000;

struct ListFlags {
  std::string state;
  std::vector<std::string> labels;
  std::string order_by;
  int64_t limit = 50;
};

std::string Filter(const ListFlags& flags) {
  std::vector<std::string> terms;
  if (!flags.state.empty()) {
    terms.push_back(absl::StrCat("state=", absl::AsciiStrToUpper(flags.state)));
  }
  for (const std::string& label : flags.labels) terms.push_back(absl::StrCat("labels.", label));
  return absl::StrJoin(terms, " AND ");
}

std::string TaskCount(const v1::Progress& progress) {
  if (progress.tasks_total() == 0) return "";
  return absl::StrCat(progress.tasks_done(), "/", progress.tasks_total());
}

absl::StatusOr<std::vector<v1::Job>> Fetch(const ListFlags& flags, Connection& connection) {
  std::vector<v1::Job> jobs;
  v1::ListJobsRequest request;
  request.set_filter(Filter(flags));
  request.set_order_by(flags.order_by);
  do {
    const auto missing = flags.limit - static_cast<int64_t>(jobs.size());
    request.set_page_size(
        static_cast<int32_t>(flags.limit == 0 ? kMaxPage : std::min(missing, kMaxPage)));
    auto page = connection.Call(&v1::SoupService::StubInterface::ListJobs, request);
    if (!page.ok()) return page.status();
    for (v1::Job& job : *page->mutable_jobs()) jobs.push_back(std::move(job));
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty() &&
           (flags.limit == 0 || static_cast<int64_t>(jobs.size()) < flags.limit));
  return jobs;
}

absl::StatusOr<int> List(const ListFlags& flags, CommandContext& context) {
  const absl::StatusOr<std::vector<v1::Job>> jobs = Fetch(flags, context.connection);
  if (!jobs.ok()) return jobs.status();
  std::ostream& out = context.environment.out;
  if (context.flags.json) {
    for (const v1::Job& job : *jobs) out << ToJson(job) << "\n";
  } else if (context.flags.quiet) {
    for (const v1::Job& job : *jobs) out << job.name() << "\n";
  } else {
    Table table({"NAME", "STATE", "TASKS", "CREATED (UTC)", "TITLE"});
    for (const v1::Job& job : *jobs) {
      table.AddRow({JobId(job.name()), v1::Job::State_Name(job.state()), TaskCount(job.progress()),
                    FormatTimestamp(job.create_time()), job.display_name()});
    }
    out << table.Render(Style(context.environment.colour));
  }
  out << std::flush;
  return kExitSuccess;
}

}  // namespace

void AddListCommand(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand("list", "List jobs, newest first unless told otherwise");
  const auto flags = std::make_shared<ListFlags>();
  command->add_option("--state", flags->state, "Only jobs in this state")
      ->check(CLI::IsMember({"queued", "running", "suspended", "succeeded", "failed", "cancelled"},
                            CLI::ignore_case));
  command->add_option("--label", flags->labels, "Only jobs with this label")
      ->type_name("KEY=VALUE");
  command
      ->add_option("--order-by", flags->order_by,
                   "'create_time desc' (the default), 'create_time', 'priority desc' or 'priority'")
      ->check(CLI::IsMember({"create_time desc", "create_time", "priority desc", "priority"}))
      ->type_name("ORDER");
  command->add_option("--limit", flags->limit, "At most so many (default 50; 0: all)")
      ->check(CLI::NonNegativeNumber);
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) { return List(*flags, context); };
  });
}

}  // namespace stockpot::cli
