// Expected calibration error: Σ over bins of |bin| / n · |accuracy − mean confidence|, 15 bins.
//
// Source: Guo et al. 2017 (arXiv 1706.04599), section 2 (equal width: bin k holds confidences in
// (k/15, (k+1)/15]); Nguyen and O'Connor 2015 (equal mass: examples by rising confidence, equals in
// example order, bins of n/15 examples, the first n%15 one more, as numpy.array_split has it).
// Sums are float64. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_CALIBRATION_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_CALIBRATION_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace stockpot {

// `confidences` are in (0, 1]; bit i%8 of byte i/8 of `correct_bits`: example i is right. 0 of
// none.
double EqualMassEce(absl::Span<const double> confidences, absl::string_view correct_bits);
double EqualWidthEce(absl::Span<const double> confidences, absl::string_view correct_bits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_CALIBRATION_H_
