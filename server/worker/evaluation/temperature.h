// Temperature scaling: the temperature by which logits are divided so that their mean cross-entropy
// is least. Source: Guo et al. 2017 (arXiv 1706.04599), section 4.2.
//
// The mean cross-entropy is convex in the inverse temperature, so the root of its derivative is
// found by Newton's method inside a bracket, in float64, to the last digits; the same numbers give
// the same bits. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_TEMPERATURE_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_TEMPERATURE_H_

#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace stockpot {

// Logits of all examples, row-major [labels.size(), classes], and their labels, each in
// [0, classes).
struct LabelledLogits {
  absl::Span<const float> values;
  int64_t classes = 0;
  absl::Span<const int64_t> labels;

  absl::Span<const float> row(size_t example) const {
    const auto width = static_cast<size_t>(classes);
    return values.subspan(example * width, width);
  }
};

inline constexpr double kLeastTemperature = 1e-3;
inline constexpr double kLargestTemperature = 1e3;

// In [kLeastTemperature, kLargestTemperature]; 1 where every temperature does as well. `keep_going`
// is asked before each pass over the logits, of which there are some ten.
// Errors: DATA_LOSS (reason NON_FINITE_OUTPUT) logits are not finite; what `keep_going` gave.
absl::StatusOr<double> FitTemperature(const LabelledLogits& logits,
                                      const std::function<absl::Status()>& keep_going);

// Mean over the examples of the cross-entropy of inverse_temperature · logits.
double MeanCrossEntropy(const LabelledLogits& logits, double inverse_temperature);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_TEMPERATURE_H_
