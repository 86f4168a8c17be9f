#include "server/worker/evaluation/logit_scores.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/evaluation/softmax.h"

namespace stockpot {
namespace {

// What is worth a thread. Not less: a card's batch runs meanwhile, and threads that are done spin
// beside the one that launches the next (measured: 1,000 × 1,000 logits on one thread are better).
constexpr int64_t kLogitsOfAThread = 1 << 20;

}  // namespace

absl::Status AtExample(absl::Status status, absl::string_view reason, int64_t example) {
  return WithMetadata(WithReason(std::move(status), reason), "example", absl::StrCat(example));
}

absl::StatusOr<LogitScore> ScoreLogits(absl::Span<const float> logits, int64_t label,
                                       double inverse_temperature, int64_t example) {
  if (label < 0 || label >= static_cast<int64_t>(logits.size())) {
    return AtExample(absl::InvalidArgumentError(absl::StrCat("example ", example, " has label ",
                                                             label, ", but the model gives ",
                                                             logits.size(), " logits")),
                     "LABEL_OUT_OF_RANGE", example);
  }
  const auto true_class = static_cast<size_t>(label);
  const SoftmaxSums sums = SumSoftmax(logits, inverse_temperature);
  LogitScore score;
  score.loss = CrossEntropy(logits, sums, true_class, inverse_temperature);
  if (!std::isfinite(score.loss)) {
    return AtExample(absl::DataLossError(absl::StrCat("the logits of example ", example,
                                                      " are not finite: nothing can be counted")),
                     "NON_FINITE_OUTPUT", example);
  }
  score.predicted = sums.largest;
  score.confidence = 1 / sums.partition;
  const float own = logits[true_class];
  float largest_other = -std::numeric_limits<float>::infinity();
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i == true_class) continue;
    largest_other = std::max(largest_other, logits[i]);
    score.rank += logits[i] > own || (logits[i] == own && i < true_class);
  }
  score.margin = static_cast<float>((own - largest_other) * inverse_temperature);
  return score;
}

absl::StatusOr<std::vector<LogitScore>> ScoreAll(absl::Span<const LabelledRow> rows,
                                                 double inverse_temperature) {
  std::vector<absl::StatusOr<LogitScore>> found(rows.size());
  const auto classes = rows.empty() ? 1 : static_cast<int64_t>(rows[0].logits.size());
  at::parallel_for(0, static_cast<int64_t>(rows.size()), kLogitsOfAThread / classes + 1,
                   [&](int64_t i, int64_t end) {
                     for (; i < end; ++i) {
                       const LabelledRow& row = rows[static_cast<size_t>(i)];
                       found[static_cast<size_t>(i)] =
                           ScoreLogits(row.logits, row.label, inverse_temperature, row.example);
                     }
                   });
  std::vector<LogitScore> scores;
  scores.reserve(rows.size());
  for (const absl::StatusOr<LogitScore>& score : found) {
    if (!score.ok()) return score.status();
    scores.push_back(*score);
  }
  return scores;
}

void AddScore(const LogitScore& score, Measurement* sums, double weight) {
  const int64_t index = sums->example_count++;
  if (index % 8 == 0) sums->correct_bits.push_back('\0');
  if (score.rank == 0) sums->correct_bits.back() |= static_cast<char>(1u << (index % 8));
  sums->top1_correct += score.rank == 0;
  sums->top5_correct += score.rank < 5;
  sums->cross_entropy_sum += weight * score.loss;
  sums->margins.push_back(score.margin);
}

}  // namespace stockpot
