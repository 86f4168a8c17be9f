// stockpot inspect: what a checkpoint, architecture or data set holds, as the server reads it.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/paths.h"
#include "client/cli/source_kind.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

// The server's workers answer after the tasks that run.
constexpr absl::Duration kInspectTimeout = absl::Minutes(10);

struct InspectFlags {
  std::string path;
  std::string as;
};

using Tensors = google::protobuf::RepeatedPtrField<v1::TensorDescription>;

std::string TensorTable(const Tensors& tensors, const Style& style) {
  if (tensors.empty()) return "";
  Table table({"tensor", "dtype", "shape"});
  for (const v1::TensorDescription& tensor : tensors) {
    table.AddRow({tensor.name(), tensor.dtype(),
                  absl::StrCat("[", absl::StrJoin(tensor.shape(), ", "), "]")});
  }
  return absl::StrCat("\n", table.Render(style));
}

std::string Describe(const v1::CheckpointDescription& checkpoint, const Style& style) {
  std::string text = absl::StrCat(
      "checkpoint: ", Printable(checkpoint.format()), ", ", FormatBytes(checkpoint.byte_count()),
      ", ", checkpoint.tensors_size(), " tensors\ndigest: ", Printable(checkpoint.digest()), "\n");
  for (const std::string& note : checkpoint.notes()) {
    absl::StrAppend(&text, "note: ", Printable(note), "\n");
  }
  if (!checkpoint.non_finite_tensor().empty()) {
    absl::StrAppend(&text, style.Red("holds NaN or infinity: "),
                    Printable(checkpoint.non_finite_tensor()), "\n");
  }
  return absl::StrCat(text, TensorTable(checkpoint.tensors(), style));
}

std::string Describe(const v1::ArchitectureDescription& architecture, const Style& style) {
  return absl::StrCat("architecture: ", architecture.tensors_size(),
                      " tensors\ndigest: ", Printable(architecture.digest()),
                      "\nnumerics: ", Printable(architecture.numerics()), "\n",
                      TensorTable(architecture.tensors(), style));
}

std::string Describe(const v1::DataSetDescription& set, const Style& style) {
  std::string text = absl::StrCat("data set: ", FormatCount(set.example_count()), " examples, ",
                                  FormatCount(set.class_count()),
                                  " classes\ndigest: ", Printable(set.digest()), "\n");
  if (set.class_names_size() > 0) {
    absl::StrAppend(&text, "classes: ", Printable(absl::StrJoin(set.class_names(), ", ")), "\n");
  }
  return absl::StrCat(text, TensorTable(set.inputs(), style));
}

v1::InspectSourceRequest MakeRequest(const InspectFlags& flags) {
  const std::string path = AbsolutePath(flags.path);
  const SourceKind guessed = GuessSourceKind(path);
  v1::InspectSourceRequest request;
  if (flags.as == "checkpoint" || (flags.as.empty() && guessed == SourceKind::kCheckpoint)) {
    request.set_checkpoint_uri(path);
  } else if (flags.as == "architecture" ||
             (flags.as.empty() && guessed == SourceKind::kArchitecture)) {
    request.set_architecture_uri(path);
  } else {
    request.mutable_data_set()->set_uri(path);
  }
  return request;
}

absl::StatusOr<int> Inspect(const InspectFlags& flags, CommandContext& context) {
  const auto response = context.connection.Call(&v1::SoupService::StubInterface::InspectSource,
                                                MakeRequest(flags), kInspectTimeout);
  if (!response.ok()) return response.status();
  std::ostream& out = context.environment.out;
  const Style style(context.environment.colour);
  if (context.flags.json) {
    out << ToJson(*response) << "\n";
  } else if (response->has_checkpoint()) {
    out << Describe(response->checkpoint(), style);
  } else if (response->has_architecture()) {
    out << Describe(response->architecture(), style);
  } else if (response->has_data_set()) {
    out << Describe(response->data_set(), style);
  }
  out << std::flush;
  return kExitSuccess;
}

}  // namespace

void AddInspectCommand(CLI::App& app, Command& chosen) {
  CLI::App* command = app.add_subcommand(
      "inspect", "Show what a checkpoint, architecture or data set holds, as the server reads it");
  const auto flags = std::make_shared<InspectFlags>();
  command->add_option("path", flags->path)->required()->type_name("PATH");
  command->add_option("--as", flags->as, "What it is (default: guessed)")
      ->check(CLI::IsMember({"checkpoint", "architecture", "data-set"}));
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) { return Inspect(*flags, context); };
  });
}

}  // namespace stockpot::cli
