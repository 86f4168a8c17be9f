// Sums weights as they come, so that what is written need not be read again to know its digest.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_CONTENT_SUMMARY_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_CONTENT_SUMMARY_H_

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "server/base/blockwise_digest.h"
#include "server/base/progress.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// Gives what SummarizeContent gives, for tensors that come in name order.
class ContentSummarizer {
 public:
  void Add(const TensorInfo& info, absl::Span<const char> elements);
  // The same in parts, one after the other: the first at `offset` 0, though it be empty.
  void AddPart(const TensorInfo& info, size_t offset, absl::Span<const char> elements);
  // All tensors of a state dict, on every core. `progress` counts them, from the first one's begin
  // to the last one's end. Errors: of reading; what `progress` gave.
  absl::Status Add(const StateDict& state_dict, const Progress& progress);
  // The object may not be used after.
  ContentSummary Finish();

 private:
  // A tensor that is being added whole, with others.
  struct Whole;

  void BeginTensor(const TensorInfo& info);
  absl::Status AddWhole(std::vector<Whole>* tensors);

  Sha256 digest_;
  std::optional<BlockwiseField> field_;  // of the tensor whose parts come
  ContentSummary summary_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_CONTENT_SUMMARY_H_
