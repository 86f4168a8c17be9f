// stockpot capabilities: what the server can do.
#include <CLI/CLI.hpp>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

std::string DescribeWorker(const v1::Capabilities::WorkerDescription& worker) {
  const char* const busy = worker.busy() ? "busy" : "idle";
  if (worker.numerics().empty()) return absl::StrCat("reads and writes files, ", busy);
  return absl::StrCat(worker.device_kind(), " (", worker.device_name(), "), ", busy, ", ",
                      worker.numerics());
}

std::string Describe(const v1::Capabilities& capabilities) {
  std::string text =
      absl::StrCat("server:       ", capabilities.server_version(),
                   "\nrecipes:      ", absl::StrJoin(capabilities.recipes(), ", "),
                   "\ncheckpoints:  ", absl::StrJoin(capabilities.checkpoint_formats(), ", "),
                   "\ndata sets:    ", absl::StrJoin(capabilities.data_set_formats(), ", "),
                   "\nmetrics:      ", absl::StrJoin(capabilities.metrics(), ", "), "\n");
  for (const auto& worker : capabilities.workers()) {
    absl::StrAppend(&text, "worker:       ", DescribeWorker(worker), "\n");
  }
  const auto& limits = capabilities.limits();
  absl::StrAppend(&text, "limits:       ", FormatCount(limits.max_ingredients()), " ingredients, ",
                  FormatCount(limits.max_report_sets()), " report sets, ",
                  FormatBytes(limits.max_request_bytes()), " a request\n");
  const auto add = [&](absl::string_view title, int64_t server, int64_t client, auto format) {
    if (server == 0 && client == 0) return;
    absl::StrAppend(&text, "              ", title, ": ", server == 0 ? "any" : format(server),
                    " on the server, ", client == 0 ? "any" : format(client), " of a client\n");
  };
  add("unfinished jobs", limits.max_unfinished_jobs(), limits.max_unfinished_jobs_of_client(),
      FormatCount);
  add("their ingredients", limits.max_unfinished_ingredients(),
      limits.max_unfinished_ingredients_of_client(), FormatCount);
  add("stored artifacts", limits.max_artifact_bytes(), limits.max_artifact_bytes_of_client(),
      FormatBytes);
  add("waiting inspections", limits.max_waiting_inspections(),
      limits.max_waiting_inspections_of_client(), FormatCount);
  return text;
}

absl::StatusOr<int> ShowCapabilities(CommandContext& context) {
  const auto capabilities = context.connection.Call(
      &v1::SoupService::StubInterface::GetCapabilities, v1::GetCapabilitiesRequest());
  if (!capabilities.ok()) return capabilities.status();
  context.environment.out << (context.flags.json ? ToJson(*capabilities) + "\n"
                                                 : Describe(*capabilities))
                          << std::flush;
  return kExitSuccess;
}

}  // namespace

void AddCapabilitiesCommand(CLI::App& app, Command& chosen) {
  app.add_subcommand("capabilities", "Show what the server can do: formats, devices, limits")
      ->callback([&chosen] { chosen = ShowCapabilities; });
}

}  // namespace stockpot::cli
