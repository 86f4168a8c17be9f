#include "server/worker/evaluation/temperature.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "server/base/status.h"
#include "server/worker/evaluation/softmax.h"

namespace stockpot {
namespace {

// Of the mean cross-entropy by the inverse temperature. The second is a mean of variances.
struct Derivatives {
  double first = 0, second = 0;
};

Derivatives DifferentiateRow(absl::Span<const float> row, size_t label, double scale) {
  const double largest = *std::max_element(row.begin(), row.end());
  double partition = 0, sum = 0, squares = 0;
  for (const float logit : row) {
    const double below = logit - largest;
    const double weight = std::exp(below * scale);
    partition += weight;
    if (weight == 0) continue;  // 0 · infinity is no number
    sum += weight * below;
    squares += weight * below * below;
  }
  const double mean = sum / partition;
  return {mean - (row[label] - largest), squares / partition - mean * mean};
}

Derivatives Differentiate(const LabelledLogits& logits, double scale) {
  Derivatives sums;
  for (size_t i = 0; i < logits.labels.size(); ++i) {
    const Derivatives row =
        DifferentiateRow(logits.row(i), static_cast<size_t>(logits.labels[i]), scale);
    sums.first += row.first;
    sums.second += row.second;
  }
  const auto count = static_cast<double>(logits.labels.size());
  return {sums.first / count, sums.second / count};
}

}  // namespace

absl::StatusOr<double> FitTemperature(const LabelledLogits& logits,
                                      const std::function<absl::Status()>& keep_going) {
  // The derivative grows with the inverse temperature: it is negative at `low`, positive at `high`,
  // or the least cross-entropy lies at that bound or beyond.
  double low = 1 / kLargestTemperature, high = 1 / kLeastTemperature, scale = 1;
  constexpr int kMaxPasses = 200;  // a bracket halves in each pass, at worst
  for (int pass = 0; pass < kMaxPasses; ++pass) {
    RETURN_IF_ERROR(keep_going());
    const Derivatives at = Differentiate(logits, scale);
    if (!std::isfinite(at.first)) {
      return WithReason(
          absl::DataLossError("the logits are not finite: no temperature can be fitted"),
          "NON_FINITE_OUTPUT");
    }
    if (at.first == 0) break;
    (at.first < 0 ? low : high) = scale;
    double next = scale - at.first / at.second;
    // Also where the second derivative is 0 and `next` is no number.
    if (!(next > low && next < high)) next = std::sqrt(low * high);
    const double step = std::abs(next - scale);
    scale = next;
    if (step <= 4 * std::numeric_limits<double>::epsilon() * scale) break;
  }
  return std::clamp(1 / scale, kLeastTemperature, kLargestTemperature);
}

double MeanCrossEntropy(const LabelledLogits& logits, double inverse_temperature) {
  double sum = 0;
  for (size_t i = 0; i < logits.labels.size(); ++i) {
    sum += CrossEntropy(logits.row(i), static_cast<size_t>(logits.labels[i]), inverse_temperature);
  }
  return sum / static_cast<double>(logits.labels.size());
}

}  // namespace stockpot
