// What a score has to be better than, and which examples to look at first to know soon whether it
// is. Thread safety: the functions are thread-safe. No torch here.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_SCORE_BAR_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_SCORE_BAR_H_

#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "server/base/score.h"
#include "server/worker/evaluation/evaluator.h"

namespace stockpot {

// What has to be exceeded, or, when ties win, reached: a DecidingNumber().
struct ScoreBar {
  Metric metric = Metric::kTop1;
  double number = 0;
  bool ties_win = false;
};

bool Clears(const ScoreBar& bar, const Score& score);

// As the server reads it.
Score ScoreOf(const Measurement& measurement);

// The examples 0 … count - 1, the hardest first: by ascending mean of `margins` (each of `count`
// numbers, lower is harder), equal ones as they are.
std::vector<int64_t> HardestFirst(int64_t count, absl::Span<const absl::Span<const float>> margins);

// How hard each example was: its margin, or the squared error below 0. None of a language model.
std::vector<float> MarginsOf(const Measurement& measurement, Problem problem,
                             const DataSet& data_set);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_SCORE_BAR_H_
