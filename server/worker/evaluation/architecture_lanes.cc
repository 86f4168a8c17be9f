// The part of architecture_runner.h that runs a few examples at a time on each core of a CPU.
#include <ATen/Parallel.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/ordered_lanes.h"
#include "server/base/parallel.h"
#include "server/worker/evaluation/architecture_runner.h"
#include "server/worker/evaluation/batch_rows.h"
#include "server/worker/evaluation/fixed_threads.h"
#include "server/worker/evaluation/guard.h"
#include "server/worker/evaluation/host_memory.h"
#include "server/worker/evaluation/precision_scope.h"

namespace stockpot {
namespace {

constexpr int64_t kMeasuredRows = 2;  // one alone may run as something else

}  // namespace

ArchitectureRunner::Cut ArchitectureRunner::CutFor(const Pass& pass, int64_t example,
                                                   int64_t length) {
  if (device_.is_cuda() || !architecture_->runs_at_once()) return {};
  // Of lengths, one of those up to twice as long stands for all of them in its data set.
  const std::string inputs = length == 0
                                 ? pass.inputs.Describe(kMeasuredRows)
                                 : absl::StrCat(pass.data_set.digest(), "/",
                                                std::bit_width(static_cast<uint64_t>(length)));
  const std::string key =
      absl::StrCat(inputs, "/", static_cast<int>(pass.options.precision), "/",
                   pass.options.channels_last, "/", static_cast<int>(pass.options.outputs.problem));
  const auto found = cuts_.find(key);
  if (found != cuts_.end()) return found->second;
  const Cut cut = MeasureCut(pass, example, length);
  if (cut.bytes_of_one > 0) cuts_.emplace(key, cut);
  return cut;
}

// A model that cannot run so few fails as it will with a whole batch, or runs whole batches only.
ArchitectureRunner::Cut ArchitectureRunner::MeasureCut(const Pass& pass, int64_t example,
                                                       int64_t length) const {
  const int64_t examples[] = {example};
  if (!pass.data_set.Bring(examples).ok()) return {};
  const FixedThreads one_thread(1);
  ForwardMemory memory;
  const absl::Status ran = Guard("measuring", [&] {
    // Kept, so that nothing is freed below that was not counted.
    const Arguments arguments = pass.inputs.Batch(examples, kMeasuredRows, length);
    absl::Status forward;
    memory = MeasureMemory([&] { forward = Forward(arguments, kMeasuredRows, pass).status(); });
    return forward;
  });
  if (!ran.ok()) return {};
  const ForwardMemory of_one{memory.peak / kMeasuredRows, memory.total / kMeasuredRows};
  return {RowsForCache(of_one, weight_bytes_), std::max<int64_t>(of_one.peak, 1)};
}

int ArchitectureRunner::LanesFor(const BatchPlan& plan, int64_t most_bytes) {
  int64_t lanes = std::min<int64_t>(at::get_num_threads(), std::ssize(plan.batches()));
  if (most_bytes == 0 || lanes <= 1) return 1;
  const HostMemory memory = ReadHostMemory();
  if (memory.total > 0) lanes = std::min(lanes, (memory.total - memory.used) / 2 / most_bytes);
  return static_cast<int>(std::max<int64_t>(lanes, 1));
}

absl::Status ArchitectureRunner::RunInLanes(const Pass& pass, const BatchPlan& plan, int lanes,
                                            RunState* state) {
  struct Piece {
    std::optional<Arguments> arguments;  // of a set that is streamed
    std::optional<Launched> launched;
  };
  const std::vector<BatchPlan::Batch>& batches = plan.batches();
  std::vector<Piece> pieces(static_cast<size_t>(lanes) * 2);
  const auto piece_of = [&](size_t i) -> Piece& { return pieces[i % pieces.size()]; };
  const auto begin = [&](size_t i) {
    return Guard("reading a batch", [&]() -> absl::Status {
      if (!pass.data_set.is_streamed()) return absl::OkStatus();
      RETURN_IF_ERROR(pass.data_set.Bring(batches[i].examples));
      piece_of(i).arguments = ArgumentsOf(batches[i], pass);
      return absl::OkStatus();
    });
  };
  const auto make = [&](size_t i) {
    return Guard("running the model", [&]() -> absl::Status {
      Piece& piece = piece_of(i);
      if (!piece.arguments.has_value()) piece.arguments = ArgumentsOf(batches[i], pass);
      ASSIGN_OR_RETURN(piece.launched, Launch(batches[i], *std::move(piece.arguments), pass));
      return absl::OkStatus();
    });
  };
  const auto take = [&](size_t i) {
    const Piece piece = std::exchange(piece_of(i), {});
    return Guard("scoring a batch", [&] { return Finish(*piece.launched, pass, state); });
  };
  OrderedLanes run(batches.size(), pieces.size(), {begin, make, take});
  // Not OpenMP's threads: LibTorch would divide what one of them computes as if it were several.
  const FixedThreads one_thread(1);
  OnThreads(lanes, [&] {
    at::init_num_threads();
    const c10::InferenceMode inference;
    const PrecisionScope precision(device_, pass.options.precision);
    run.Work();
  });
  return run.result();
}

}  // namespace stockpot
