// stockpot merge: averages checkpoints on this machine, without a server. The work is done by
// stockpot-merge, so that what reads checkpoints is in no process that speaks to a server.
#include <CLI/CLI.hpp>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/commands/command.h"
#include "client/cli/paths.h"

namespace stockpot::cli {
namespace {

struct MergeFlags {
  std::vector<std::string> ingredients;
  std::string out;
  std::string base;
  std::string coefficients;
  std::string dtype;
  std::string max_shard_bytes;
  std::string threads;
  bool digests = false;
  bool plan = false;
};

absl::StatusOr<int> Merge(const MergeFlags& flags, const CommonFlags& common,
                          Environment& environment) {
  absl::StatusOr<std::vector<std::string>> ingredients = ExpandGlobs(flags.ingredients);
  if (!ingredients.ok()) return ingredients.status();
  std::vector<std::string> arguments = {"stockpot-merge",
                                        absl::StrCat("--out=", AbsolutePath(flags.out))};
  for (std::string& path : *ingredients) {
    if (absl::StrContains(path, "://")) {
      return absl::InvalidArgumentError(absl::StrCat(path, ": merge reads local files only"));
    }
    arguments.push_back(std::move(path));
  }
  const auto pass = [&](const char* name, const std::string& value) {
    if (!value.empty()) arguments.push_back(absl::StrCat(name, "=", value));
  };
  if (!flags.base.empty()) pass("--base", AbsolutePath(flags.base));
  pass("--coefficients", flags.coefficients);
  pass("--dtype", flags.dtype);
  pass("--max-shard-bytes", flags.max_shard_bytes);
  pass("--threads", flags.threads);
  if (flags.digests) arguments.push_back("--digests");
  if (flags.plan) arguments.push_back("--plan");
  if (common.json) arguments.push_back("--json");
  if (common.quiet) arguments.push_back("--quiet");
  return environment.become_sibling(arguments);
}

}  // namespace

void AddMergeCommand(CLI::App& app, LocalCommand& chosen) {
  CLI::App* command = app.add_subcommand(
      "merge",
      "Average checkpoints on this machine, at the speed of its disk; no server, no evaluation");
  const auto flags = std::make_shared<MergeFlags>();
  command
      ->add_option("ingredients", flags->ingredients,
                   "Checkpoint files, folders or patterns, in this order; a pattern's files in "
                   "byte order")
      ->required()
      ->type_name("FILE");
  command->add_option("--out", flags->out, "The soup; a file that is there is replaced")
      ->required()
      ->type_name("NAME.safetensors");
  command->add_option("--base", flags->base, "Of LoRA adapters: what they were trained from")
      ->type_name("PATH");
  command
      ->add_option("--coefficients", flags->coefficients,
                   "One for each ingredient, such as 0.2,0.8 (default: uniform)")
      ->type_name("NUMBERS");
  command
      ->add_option("--dtype", flags->dtype,
                   "Of the soup (default: stored, as the ingredients have)")
      ->check(CLI::IsMember({"stored", "float32", "bfloat16", "float16"}));
  command
      ->add_option("--max-shard-bytes", flags->max_shard_bytes,
                   "A larger soup becomes several files with an index (default: one file)")
      ->check(CLI::PositiveNumber)
      ->type_name("BYTES");
  command->add_option("--threads", flags->threads, "Default: one for each core, and one")
      ->check(CLI::Range(0, 1024))
      ->type_name("COUNT");
  command->add_flag("--digests", flags->digests,
                    "Give the digest of each ingredient's content as well, from the same pass; it "
                    "takes the processor longer than averaging");
  command->add_flag("--plan", flags->plan,
                    "Print what would be read, written and held in memory, and stop; without it "
                    "the plan goes to standard error first");
  command->callback([flags, &chosen] {
    chosen = [flags](const CommonFlags& common, Environment& environment) {
      return Merge(*flags, common, environment);
    };
  });
}

}  // namespace stockpot::cli
