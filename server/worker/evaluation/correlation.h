// How much two lists of numbers go together. Sums are float64 in the lists' order.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CORRELATION_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CORRELATION_H_

#include "absl/types/span.h"

namespace stockpot {

// Pearson's correlation coefficient, from deviations from the means. 0 when a list is constant.
// Both lists have the same length.
double Pearson(absl::Span<const double> a, absl::Span<const double> b);

// Spearman's: Pearson's of the ranks; equals have the mean of their ranks.
double Spearman(absl::Span<const double> a, absl::Span<const double> b);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CORRELATION_H_
