// stockpot inspect: what a checkpoint, architecture or data set holds, as the server reads it.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "client/cli/commands/command.h"
#include "client/cli/json_lines.h"
#include "client/cli/paths.h"
#include "client/cli/picture_grid.h"
#include "client/cli/read_file.h"
#include "client/cli/renames.h"
#include "client/cli/source_kind.h"
#include "client/cli/table.h"
#include "client/cli/text.h"

namespace stockpot::cli {
namespace {

// The server's workers answer after the tasks that run.
constexpr absl::Duration kInspectTimeout = absl::Minutes(10);
constexpr int kPictures = 25, kMostPictures = 64;

struct InspectFlags {
  std::string path;
  std::string as;
  std::string base;
  std::string state_dict_key;
  std::vector<std::string> renames;
  // Of data sets.
  std::string format, split, label_tensor, preset, preprocessor;
  std::string pictures;  // the file to write
  int picture_count = 0;
};

// "torchvision-v1" as TORCHVISION_V1.
std::string EnumName(const std::string& word) {
  return absl::StrReplaceAll(absl::AsciiStrToUpper(word), {{"-", "_"}});
}

v1::DataSet DataSetOf(const InspectFlags& flags, const std::string& path) {
  v1::DataSet set;
  set.set_uri(path);
  v1::DataSet::Format format = v1::DataSet::FORMAT_UNSPECIFIED;
  if (v1::DataSet::Format_Parse(EnumName(flags.format), &format)) set.set_format(format);
  set.set_split(flags.split);
  set.set_label_tensor(flags.label_tensor);
  v1::ImageTransform::Preset preset = v1::ImageTransform::PRESET_UNSPECIFIED;
  if (v1::ImageTransform::Preset_Parse(EnumName(flags.preset), &preset)) {
    set.mutable_image_transform()->set_preset(preset);
  }
  if (!flags.preprocessor.empty()) {
    set.mutable_image_transform()->set_config_uri(InMessage(AbsolutePath(flags.preprocessor)));
  }
  return set;
}

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
  if (set.class_example_counts_size() > 0) {
    absl::StrAppend(
        &text, "examples of each class: ", absl::StrJoin(set.class_example_counts(), ", "), "\n");
  }
  if (set.first_labels_size() > 0) {
    absl::StrAppend(&text, "first labels: ", absl::StrJoin(set.first_labels(), ", "), "\n");
  }
  return absl::StrCat(text, TensorTable(set.inputs(), style));
}

absl::StatusOr<v1::InspectSourceRequest> MakeRequest(const InspectFlags& flags) {
  const std::string local = AbsolutePath(flags.path), path = InMessage(local);
  const bool is_data_set = !flags.pictures.empty() || !flags.format.empty() ||
                           !flags.split.empty() || !flags.preset.empty() ||
                           !flags.preprocessor.empty();
  const SourceKind guessed = is_data_set ? SourceKind::kDataSet : GuessSourceKind(local);
  v1::InspectSourceRequest request;
  if (flags.as == "checkpoint" || (flags.as.empty() && guessed == SourceKind::kCheckpoint)) {
    request.set_checkpoint_uri(path);
    if (!flags.base.empty()) request.set_base_uri(InMessage(AbsolutePath(flags.base)));
    request.set_state_dict_key(flags.state_dict_key);
    absl::Status renames = AddRenames(flags.renames, request.mutable_tensor_renames());
    if (!renames.ok()) return renames;
  } else if (flags.as == "architecture" ||
             (flags.as.empty() && guessed == SourceKind::kArchitecture)) {
    request.set_architecture_uri(path);
  } else {
    *request.mutable_data_set() = DataSetOf(flags, path);
    if (!flags.pictures.empty()) request.set_picture_count(flags.picture_count);
  }
  return request;
}

// Writes them as one; gives what is where in it.
absl::StatusOr<std::string> WritePictures(const v1::DataSetDescription& set,
                                          const std::string& path) {
  if (set.pictures().empty()) {
    return absl::FailedPreconditionError(
        "the data set holds no images to show (8-bit, of one channel or three, at most 8192 "
        "pixels a side): there are no pictures");
  }
  std::vector<std::string> pngs;
  for (const v1::ExamplePicture& picture : set.pictures()) pngs.push_back(picture.png());
  const absl::StatusOr<PictureGrid> grid = MakePictureGrid(pngs);
  if (!grid.ok()) return grid.status();
  const absl::Status written = WriteFile(path, grid->png);
  if (!written.ok()) return written;
  std::string text = absl::StrCat("pictures: ", Printable(path), "\n");
  for (int i = 0; i < set.pictures_size(); ++i) {
    const bool begins_row = i % grid->columns == 0;
    if (begins_row) absl::StrAppend(&text, i == 0 ? "" : "\n", "row ", i / grid->columns + 1, ": ");
    absl::StrAppend(&text, begins_row ? "" : ", ", Printable(set.pictures(i).label()));
  }
  return absl::StrCat(text, "\n");
}

absl::StatusOr<int> Inspect(const InspectFlags& flags, CommandContext& context) {
  const absl::StatusOr<v1::InspectSourceRequest> request = MakeRequest(flags);
  if (!request.ok()) return request.status();
  const auto response = context.connection.Call(&v1::SoupService::StubInterface::InspectSource,
                                                *request, kInspectTimeout);
  if (!response.ok()) return response.status();
  std::ostream& out = context.environment.out;
  const Style style(context.environment.colour);
  absl::StatusOr<std::string> pictures = "";
  if (!flags.pictures.empty()) {
    pictures = WritePictures(response->data_set(), flags.pictures);
    if (!pictures.ok()) return pictures.status();
  }
  if (context.flags.json) {
    out << ToJson(*response) << "\n";
  } else if (response->has_checkpoint()) {
    out << Describe(response->checkpoint(), style);
  } else if (response->has_architecture()) {
    out << Describe(response->architecture(), style);
  } else if (response->has_data_set()) {
    out << Describe(response->data_set(), style) << *pictures;
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
  command->add_option("--base", flags->base, "Of a LoRA adapter: what it was trained from")
      ->type_name("PATH");
  command->add_option("--state-dict-key", flags->state_dict_key, kStateDictKeyHelp)
      ->type_name("KEY");
  command->add_option("--rename", flags->renames, kRenameHelp)->type_name("PATTERN=NAME");
  const std::string data_sets = "Data sets";
  command->add_option("--format", flags->format, "How it is read (default: by its name)")
      ->check(CLI::IsMember(
          {"image-folder", "tensors", "parquet", "webdataset", "numpy", "csv", "jsonl"}))
      ->group(data_sets);
  command->add_option("--split", flags->split, "Of Parquet and manifests")->group(data_sets);
  command->add_option("--label-tensor", flags->label_tensor, "Tensor, column or member with labels")
      ->group(data_sets);
  command->add_option("--preset", flags->preset, "What is done to images")
      ->check(CLI::IsMember(
          {"torchvision-v1", "torchvision-v2", "timm", "timm-half", "clip", "clip-336"}))
      ->group(data_sets);
  command->add_option("--preprocessor", flags->preprocessor, "The same by a file of the model's")
      ->group(data_sets);
  command
      ->add_option("--pictures", flags->pictures,
                   "Write the first examples there, as one PNG: what the model would see")
      ->type_name("FILE")
      ->group(data_sets);
  command->add_option("--picture-count", flags->picture_count, "How many of them")
      ->default_val(kPictures)
      ->check(CLI::Range(1, kMostPictures))
      ->group(data_sets);
  command->callback([flags, &chosen] {
    chosen = [flags](CommandContext& context) { return Inspect(*flags, context); };
  });
}

}  // namespace stockpot::cli
