// stockpot-merge: averages checkpoint files, without a server and without LibTorch. `stockpot
// merge` starts it: what a hostile file does to a reader it does to this process.
//
// The plan goes to standard error before anything large is read, the result to standard output.
// Exit codes are those of `stockpot`. SIGINT and SIGTERM end it after the window at hand, and
// nothing is left behind.
#include <signal.h>

#include <CLI/CLI.hpp>
#include <atomic>
#include <iostream>
#include <map>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/parallel.h"
#include "server/base/status.h"
#include "server/worker/merge/merge.h"
#include "server/worker/merge/merge_report.h"

namespace stockpot {
namespace {

// As client/cli/errors.h documents them.
constexpr int kExitSuccess = 0;
constexpr int kExitBadInput = 2;
constexpr int kExitOther = 5;
constexpr int kExitInterrupted = 130;

struct Flags {
  MergeOptions merge;
  std::string dtype = "stored";
  bool plan_only = false;
  bool json = false;
  bool quiet = false;
};

// Written by a signal handler, so there is no other place for it.
std::atomic<bool> interrupted = false;
static_assert(std::atomic<bool>::is_always_lock_free);

const std::map<std::string, std::optional<DType>>& DTypes() {
  static const auto& dtypes =
      *new std::map<std::string, std::optional<DType>>{{"stored", std::nullopt},
                                                       {"float32", DType::kFloat32},
                                                       {"bfloat16", DType::kBFloat16},
                                                       {"float16", DType::kFloat16}};
  return dtypes;
}

void AddFlags(CLI::App* app, Flags* flags) {
  app->set_version_flag("--version", "stockpot-merge " STOCKPOT_VERSION);
  app->add_option("ingredients", flags->merge.ingredients,
                  "Checkpoint files or folders, in this order")
      ->required();
  app->add_option("--out", flags->merge.out, "The soup: NAME.safetensors")->required();
  app->add_option("--base", flags->merge.base, "Of LoRA adapters: what they were trained from");
  app->add_option("--coefficients", flags->merge.coefficients,
                  "One for each ingredient (default: uniform)")
      ->delimiter(',')
      ->allow_extra_args(false);
  app->add_option("--dtype", flags->dtype, "Of the soup's floating-point tensors")
      ->check(CLI::IsMember(DTypes()))
      ->capture_default_str();
  app->add_option("--max-shard-bytes", flags->merge.max_shard_bytes,
                  "A larger soup becomes several files with an index (default: one file)")
      ->check(CLI::PositiveNumber);
  app->add_option("--threads", flags->merge.threads, "0: one for each core, and one")
      ->check(CLI::Range(0, 1024));
  app->add_flag("--digests", flags->merge.digests, "The digest of each ingredient's content too");
  app->add_flag("--plan", flags->plan_only, "Print what would be read, written and held; stop");
  app->add_flag("--json", flags->json, "One JSON object a line");
  app->add_flag("-q,--quiet", flags->quiet, "No plan on standard error");
}

std::string PlanOutput(const Flags& flags, const MergePlan& plan) {
  return flags.json ? DumpJson(PlanJson(plan)) + "\n" : PlanText(plan);
}

absl::Status Run(Flags flags) {
  flags.merge.dtype = DTypes().at(flags.dtype);
  flags.merge.software = "stockpot " STOCKPOT_VERSION;
  ASSIGN_OR_RETURN(const Merge merge, Merge::Open(std::move(flags.merge)));
  if (flags.plan_only) {
    std::cout << PlanOutput(flags, merge.plan()) << std::flush;
    return absl::OkStatus();
  }
  if (!flags.quiet) std::cerr << PlanOutput(flags, merge.plan()) << std::flush;
  const absl::Time begin = absl::Now();
  ASSIGN_OR_RETURN(const MergeResult result, merge.Run([](int64_t, int64_t) {
    return interrupted ? absl::CancelledError("interrupted") : absl::OkStatus();
  }));
  const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
  const uint64_t peak = PeakResidentBytes();
  std::cout << (flags.json ? DumpJson(ResultJson(result, seconds, peak)) + "\n"
                           : ResultText(merge.plan(), result, seconds, peak))
            << std::flush;
  return absl::OkStatus();
}

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitSuccess;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnimplemented:
    case absl::StatusCode::kDataLoss:
      return kExitBadInput;  // all of them are about the files that were named
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitOther;
  }
}

void WatchSignals() {
  struct sigaction action = {};
  action.sa_handler = [](int) { interrupted = true; };
  sigaction(SIGINT, &action, nullptr);
  sigaction(SIGTERM, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
}

int Main(int argc, char** argv) {
  Flags flags;
  CLI::App app("Averages checkpoints into a soup.", "stockpot-merge");
  AddFlags(&app, &flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    const int code = app.exit(error);
    return code == 0 ? kExitSuccess : kExitBadInput;
  }
  WatchSignals();
  const absl::Status status = Guard([&] { return Run(std::move(flags)); });
  if (status.ok()) return kExitSuccess;
  std::cerr << "error: " << status.message() << "\n";
  const std::string reason = GetErrorFacts(status).reason;
  if (!reason.empty()) std::cerr << "  reason: " << reason << "\n";
  return ExitCode(status);
}

}  // namespace
}  // namespace stockpot

int main(int argc, char** argv) { return stockpot::Main(argc, argv); }
