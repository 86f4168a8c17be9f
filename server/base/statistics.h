// Statistics of a few numbers, in float64 and in the numbers' order.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_BASE_STATISTICS_H_
#define STOCKPOT_SERVER_BASE_STATISTICS_H_

#include <vector>

#include "absl/types/span.h"

namespace stockpot {

double Mean(absl::Span<const double> values);  // 0 of none
// With n - 1 in the denominator; 0 of fewer than two.
double StandardDeviation(absl::Span<const double> values);

// Pearson's correlation of two lists of one length, from deviations from the means; 0 when either
// is constant.
double PearsonCorrelation(absl::Span<const double> a, absl::Span<const double> b);
// Pearson's of the ranks; equals share the mean of their ranks.
double SpearmanCorrelation(absl::Span<const double> a, absl::Span<const double> b);
// Ranks from 1; equals share the mean of theirs.
std::vector<double> Ranks(absl::Span<const double> values);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_STATISTICS_H_
