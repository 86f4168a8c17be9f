// worker/merge: averages checkpoint files into a soup on disk, without models, data or a server:
// what `stockpot merge` does. The weights are those that a job's soup of the same ingredients and
// coefficients has, bit for bit (blend_weights.h).
//
//   ASSIGN_OR_RETURN(Merge merge, Merge::Open(options));
//   Print(merge.plan());                 // before anything large is read or written
//   ASSIGN_OR_RETURN(MergeResult result, merge.Run(progress));
//
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_MERGE_MERGE_H_
#define STOCKPOT_SERVER_WORKER_MERGE_MERGE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/base/progress.h"
#include "server/worker/checkpoint/shards.h"
#include "server/worker/checkpoint/state_dict.h"
#include "server/worker/soup/blend_stream.h"

namespace stockpot {

struct MergeOptions {
  std::vector<std::string> ingredients;  // local files or folders, in the blend's order
  std::string base;                      // what adapters among them are merged into
  std::string out;                       // NAME.safetensors; a file that is there is replaced
  std::vector<double> coefficients;      // one for each ingredient; empty: uniform
  std::optional<DType> dtype;            // of floating-point tensors; nullopt: as stored
  uint64_t max_shard_bytes = 0;          // larger soups become several files; 0: one file
  int threads = 0;                       // 0: one for each core, and one
  bool digests = false;                  // the content digest of each ingredient as well
  std::string software;                  // for the soup's metadata
  CheckpointLimits limits;
};

// What a run will read, write and hold. Bytes.
struct MergePlan {
  std::vector<std::string> files;  // that will be written
  uint64_t ingredients = 0;
  uint64_t tensors = 0;
  uint64_t bytes_read = 0;     // of tensors, over all ingredients
  uint64_t bytes_written = 0;  // of tensors
  int threads = 0;
  uint64_t buffer_bytes = 0;   // windows of the soup, and sums
  uint64_t mapped_bytes = 0;   // pages of torch.save files whose sums are checked
  uint64_t copied_bytes = 0;   // of tensors that do not lie in order in their files, at a time
  uint64_t program_bytes = 0;  // the program itself, and what it knows of each tensor
  // The sum of the four above: no run has more resident memory, anonymous and mapped files together
  // (VmHWM).
  uint64_t peak_bytes = 0;
};

struct MergeResult {
  struct File {
    std::string path;
    uint64_t byte_count = 0;
    std::string sha256;
  };
  std::vector<File> files;
  // Digests of the ingredients' contents (ContentSummary), where asked for.
  std::vector<std::string> ingredient_digests;
};

class Merge {
 public:
  // Opens the ingredients and checks that all can be averaged.
  // Errors: of OpenCheckpoint and CheckCompatible, with the ingredient's path; INVALID_ARGUMENT no
  // ingredients, another number of coefficients or one that is no number, a name of `out` that does
  // not end in .safetensors, or `out` is an ingredient; NOT_FOUND no folder for `out`.
  static absl::StatusOr<Merge> Open(MergeOptions options);

  const MergePlan& plan() const { return plan_; }

  // Averages. Files are written under names NAME.part-… beside their place, synced, then renamed,
  // an index last: a name of the soup stands for a whole file at any time. A failure leaves
  // nothing; a process that is killed may leave part files.
  // `progress` counts tensors. Errors: of reading and writing (RESOURCE_EXHAUSTED, reason
  // DISK_FULL, before anything is written where the disk says so); what `progress` gave.
  absl::StatusOr<MergeResult> Run(const Progress& progress) const;

 private:
  explicit Merge(MergeOptions options) : options_(std::move(options)) {}

  WeightBlend blend() const { return {ingredients_, options_.coefficients, options_.dtype}; }
  absl::Status OpenIngredients();
  void MakePlan();

  MergeOptions options_;
  std::vector<std::shared_ptr<const StateDict>> ingredients_;
  BlendStreamOptions stream_;
  std::vector<TensorInfo> tensors_;  // of the soup
  std::vector<Shard> shards_;
  std::string folder_;  // of the soup
  std::string name_;    // of its files, without .safetensors
  MergePlan plan_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_MERGE_MERGE_H_
