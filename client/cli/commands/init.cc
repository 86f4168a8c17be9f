// stockpot init: writes a job file to begin with.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/example_job.h"

namespace stockpot::cli {
namespace {

struct InitFlags {
  std::string file = "job.yaml";
  std::string kind = "images";
  bool force = false;
};

absl::StatusOr<int> Init(const InitFlags& flags, const CommonFlags& common,
                         Environment& environment) {
  const std::string text = ExampleJob(flags.kind);
  if (flags.file == "-") {
    environment.out << text << std::flush;
    return kExitSuccess;
  }
  // x: never over a file that is there.
  std::FILE* file = std::fopen(flags.file.c_str(), flags.force ? "we" : "wxe");
  if (file == nullptr && errno == EEXIST) {
    return absl::AlreadyExistsError(
        absl::StrCat(flags.file, " is there already: give another name, or --force"));
  }
  const bool written = file != nullptr && std::fwrite(text.data(), text.size(), 1, file) == 1;
  if (file == nullptr || std::fclose(file) != 0 || !written) {
    return absl::InvalidArgumentError(absl::StrCat("cannot write ", flags.file));
  }
  if (!common.quiet) {
    environment.out << "wrote " << flags.file << ": put your paths in, then: stockpot run --file "
                    << flags.file << " --out soup" << std::endl;
  }
  return kExitSuccess;
}

}  // namespace

void AddInitCommand(CLI::App& app, LocalCommand& chosen) {
  CLI::App* command = app.add_subcommand("init", "Write a job file to begin with, with comments");
  const auto flags = std::make_shared<InitFlags>();
  command->add_option("file", flags->file, "Default: job.yaml; -: standard output")
      ->type_name("FILE");
  command->add_option("--kind", flags->kind, "What the data sets hold (default: images)")
      ->check(CLI::IsMember(ExampleKinds()));
  command->add_flag("--force", flags->force, "Replace a file that is there");
  command->callback([flags, &chosen] {
    chosen = [flags](const CommonFlags& common, Environment& environment) {
      return Init(*flags, common, environment);
    };
  });
}

}  // namespace stockpot::cli
