// Counts and sums over rows of logits: what classification and language models have in common.
//
// top-1 counts a row whose label is torch.argmax of its logits, top-5 one whose label is among the
// five largest; equal logits rank by index, the lower one first (as torch.argmax does).
// Cross-entropy is -log softmax in natural logarithms: a log-sum-exp of the float32 logits in
// float64, summed in order. A margin is the true class' logit minus the largest other one, in
// float32; infinite when there is no other class.
//
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_LOGIT_SCORES_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_LOGIT_SCORES_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

struct LogitScore {
  double loss = 0;        // cross-entropy
  double confidence = 0;  // largest softmax probability, in float64
  size_t predicted = 0;
  int64_t rank = 0;  // of the label among the logits, from 0
  float margin = 0;
};

// `logits` [classes], classes >= 1, times `inverse_temperature` in float64. `example` is for
// messages. Errors: as Metrics::Add.
absl::StatusOr<LogitScore> ScoreLogits(absl::Span<const float> logits, int64_t label,
                                       double inverse_temperature, int64_t example);

// A row of a batch that counts.
struct LabelledRow {
  absl::Span<const float> logits;
  int64_t label = 0, example = 0;
};

// Each as ScoreLogits, on every thread that LibTorch computes with. The first one's error.
absl::StatusOr<std::vector<LogitScore>> ScoreAll(absl::Span<const LabelledRow> rows,
                                                 double inverse_temperature);

// Counts it as the next one. Its loss counts `weight` times.
void AddScore(const LogitScore& score, Measurement* sums, double weight = 1);

// "status" with reason and metadata "example".
absl::Status AtExample(absl::Status status, absl::string_view reason, int64_t example);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_LOGIT_SCORES_H_
