// Metrics of a classification that are made of counts by class, as scikit-learn defines them.
// Source: mean per class: its recall_score(average="macro") over the classes that have examples;
// F1: f1_score(zero_division=0); Matthews: Gorodkin 2004, "Comparing two K-category assignments by
// a K-category correlation coefficient". Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_BASE_CLASS_SCORES_H_
#define STOCKPOT_SERVER_BASE_CLASS_SCORES_H_

#include <cstdint>

#include "absl/types/span.h"

namespace stockpot {

struct ClassScores {
  double mean_per_class = 0;
  double f1_binary = 0;  // of class 1; 0 unless there are two classes
  double f1_macro = 0;   // over the classes that have examples or are predicted
  double matthews = 0;   // 0 when labels or predictions are all of one class
};

// By class: examples that have it, for which it was predicted, and both. Equally long.
ClassScores ScoreClasses(absl::Span<const int64_t> labels, absl::Span<const int64_t> predicted,
                         absl::Span<const int64_t> correct);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_CLASS_SCORES_H_
