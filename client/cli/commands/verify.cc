// stockpot verify: has a soup made again, and says whether it is the same to the last bit.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/read_file.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

// The server's workers answer after the tasks that run; a large soup takes minutes itself.
constexpr absl::Duration kVerifyTimeout = absl::Hours(1);
constexpr uintmax_t kMaxManifestMebibytes = 64;

absl::StatusOr<v1::VerifySoupRequest> MakeRequest(const std::string& what) {
  v1::VerifySoupRequest request;
  // No job has a dot in its name.
  if (!absl::EndsWith(what, ".json")) {
    request.set_name(JobName(what));
    return request;
  }
  absl::StatusOr<std::string> text = ReadFile(what, kMaxManifestMebibytes);
  if (!text.ok()) return text.status();
  request.set_manifest(*std::move(text));
  return request;
}

std::string DescribeFile(const v1::VerifySoupResponse::FileComparison& file, const Style& style) {
  const std::string name = Printable(file.file());
  if (file.expected_sha256() == file.found_sha256()) {
    return absl::StrCat("  ", name, ": identical\n");
  }
  const std::string expected =
      file.expected_sha256().empty() ? "not in the manifest" : Printable(file.expected_sha256());
  const std::string found =
      file.found_sha256().empty() ? "not written now" : Printable(file.found_sha256());
  return absl::StrCat("  ", name, ": ", style.Red("differs"), "\n    expected ", expected,
                      "\n    found    ", found, "\n");
}

std::string Describe(const v1::VerifySoupResponse& response, const Style& style) {
  const bool same_weights = response.expected_digest() == response.found_digest();
  std::string text =
      response.identical()
          ? absl::StrCat(style.Green("identical"), ": every weight and every file, bit for bit\n")
      : same_weights ? absl::StrCat(style.Red("different files"), ": the weights are the same\n")
                     : absl::StrCat(style.Red("different weights"), "\n    expected ",
                                    Printable(response.expected_digest()), "\n    found    ",
                                    Printable(response.found_digest()), "\n");
  for (const auto& file : response.files()) absl::StrAppend(&text, DescribeFile(file, style));
  return text;
}

absl::StatusOr<int> Verify(const std::string& what, CommandContext& context) {
  const absl::StatusOr<v1::VerifySoupRequest> request = MakeRequest(what);
  if (!request.ok()) return request.status();
  const auto response = context.connection.Call(&v1::SoupService::StubInterface::VerifySoup,
                                                *request, kVerifyTimeout);
  if (!response.ok()) return response.status();
  if (context.flags.json) {
    context.environment.out << ToJson(*response) << std::endl;
  } else if (!context.flags.quiet || !response->identical()) {
    context.environment.out << Describe(*response, Style(context.environment.colour)) << std::flush;
  }
  return response->identical() ? kExitSuccess : kExitDifferent;
}

}  // namespace

void AddVerifyCommand(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "verify",
      "Make a soup again from its manifest and compare it bit for bit; exit code 1 when "
      "it differs");
  const auto what = std::make_shared<std::string>();
  command->add_option("soup", *what, "A job of the server, jobs/x or x, or a manifest.json")
      ->required()
      ->type_name("JOB|FILE");
  command->callback([what, &chosen] {
    chosen = [what](CommandContext& context) { return Verify(*what, context); };
  });
}

}  // namespace stockpot::cli
