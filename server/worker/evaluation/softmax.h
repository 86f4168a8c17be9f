// Sums over the classes of one example, in float64, of float32 or float64 logits.
//
// With z = scale · logits, where scale is an inverse temperature. Logits of -infinity are classes
// that cannot be; one that is NaN or +infinity, or a label's of -infinity, gives a loss that is not
// finite. Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_EVALUATION_SOFTMAX_H_
#define STOCKPOT_SERVER_WORKER_EVALUATION_SOFTMAX_H_

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "absl/types/span.h"

namespace stockpot {

struct SoftmaxSums {
  size_t largest = 0;    // of equal logits the first
  double partition = 0;  // Σ exp(z - z[largest]): 1 / partition is the largest probability
};

template <typename Logit>
SoftmaxSums SumSoftmax(absl::Span<const Logit> logits, double scale) {
  const auto largest = std::max_element(logits.begin(), logits.end());
  SoftmaxSums sums{.largest = static_cast<size_t>(largest - logits.begin())};
  const double highest = *largest;
  for (const Logit logit : logits) {
    sums.partition += std::exp((static_cast<double>(logit) - highest) * scale);
  }
  return sums;
}

// -log softmax(z)[label], in nats.
template <typename Logit>
double CrossEntropy(absl::Span<const Logit> logits, const SoftmaxSums& sums, size_t label,
                    double scale) {
  const double below = static_cast<double>(logits[sums.largest]) - logits[label];
  return std::log(sums.partition) + below * scale;
}

template <typename Logit>
double CrossEntropy(absl::Span<const Logit> logits, size_t label, double scale) {
  return CrossEntropy(logits, SumSoftmax(logits, scale), label, scale);
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_EVALUATION_SOFTMAX_H_
