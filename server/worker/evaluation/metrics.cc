#include "server/worker/evaluation/metrics.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

absl::Status AtExample(absl::Status status, absl::string_view reason, int64_t example) {
  return WithMetadata(WithReason(std::move(status), reason), "example", absl::StrCat(example));
}

// -log softmax(logits)[label]. NaN or infinite when a logit is NaN, +infinity, or the label's is
// -infinity.
double CrossEntropy(absl::Span<const float> logits, size_t label) {
  const double largest = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - largest);
  return std::log(sum) + (largest - logits[label]);
}

}  // namespace

MetricsAccumulator::MetricsAccumulator(int64_t expected_examples) {
  measurement_.margins.reserve(static_cast<size_t>(expected_examples));
  measurement_.correct_bits.reserve(static_cast<size_t>((expected_examples + 7) / 8));
}

absl::Status MetricsAccumulator::Add(absl::Span<const float> logits, int64_t classes,
                                     absl::Span<const int64_t> labels) {
  const auto row = static_cast<size_t>(classes);
  for (size_t i = 0; i < labels.size(); ++i) {
    RETURN_IF_ERROR(AddExample(logits.subspan(i * row, row), labels[i]));
  }
  return absl::OkStatus();
}

absl::Status MetricsAccumulator::AddExample(absl::Span<const float> logits, int64_t label) {
  Measurement& sums = measurement_;
  const int64_t example = sums.example_count;
  if (label < 0 || label >= static_cast<int64_t>(logits.size())) {
    return AtExample(absl::InvalidArgumentError(absl::StrCat("example ", example, " has label ",
                                                             label, ", but the model gives ",
                                                             logits.size(), " logits")),
                     "LABEL_OUT_OF_RANGE", example);
  }
  const auto true_class = static_cast<size_t>(label);
  const double loss = CrossEntropy(logits, true_class);
  if (!std::isfinite(loss)) {
    return AtExample(absl::DataLossError(absl::StrCat("the logits of example ", example,
                                                      " are not finite: nothing can be counted")),
                     "NON_FINITE_OUTPUT", example);
  }
  const float own = logits[true_class];
  float largest_other = -std::numeric_limits<float>::infinity();
  int rank = 0;
  for (size_t i = 0; i < logits.size(); ++i) {
    if (i == true_class) continue;
    largest_other = std::max(largest_other, logits[i]);
    rank += logits[i] > own || (logits[i] == own && i < true_class);
  }
  if (example % 8 == 0) sums.correct_bits.push_back('\0');
  if (rank == 0) sums.correct_bits.back() |= static_cast<char>(1u << (example % 8));
  sums.top1_correct += rank == 0;
  sums.top5_correct += rank < 5;
  sums.cross_entropy_sum += loss;
  sums.margins.push_back(own - largest_other);
  ++sums.example_count;
  return absl::OkStatus();
}

}  // namespace stockpot
