#include "server/worker/evaluation/calibration.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numeric>
#include <vector>

namespace stockpot {
namespace {

constexpr size_t kBins = 15;

// Of the examples of one bin, right ones minus the sum of confidences: |bin| · (accuracy − mean).
using Gaps = std::array<double, kBins>;

double MeanOf(const Gaps& gaps, size_t examples) {
  double sum = 0;
  for (const double gap : gaps) sum += std::abs(gap);
  return examples == 0 ? 0 : sum / static_cast<double>(examples);
}

double GapOf(double confidence, absl::string_view correct_bits, size_t example) {
  const bool correct = (correct_bits[example / 8] >> (example % 8) & 1) != 0;
  return (correct ? 1 : 0) - confidence;
}

double UpperEdge(size_t bin) { return static_cast<double>(bin + 1) / kBins; }

}  // namespace

double EqualMassEce(absl::Span<const double> confidences, absl::string_view correct_bits) {
  std::vector<size_t> order(confidences.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return confidences[a] < confidences[b]; });
  Gaps gaps = {};
  size_t next = 0;
  for (size_t bin = 0; bin < kBins; ++bin) {
    const size_t size = order.size() / kBins + (bin < order.size() % kBins);
    for (size_t end = next + size; next < end; ++next) {
      gaps[bin] += GapOf(confidences[order[next]], correct_bits, order[next]);
    }
  }
  return MeanOf(gaps, confidences.size());
}

double EqualWidthEce(absl::Span<const double> confidences, absl::string_view correct_bits) {
  Gaps gaps = {};
  for (size_t i = 0; i < confidences.size(); ++i) {
    size_t bin = 0;
    while (bin + 1 < kBins && confidences[i] > UpperEdge(bin)) ++bin;
    gaps[bin] += GapOf(confidences[i], correct_bits, i);
  }
  return MeanOf(gaps, confidences.size());
}

}  // namespace stockpot
