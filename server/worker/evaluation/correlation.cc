#include "server/worker/evaluation/correlation.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace stockpot {
namespace {

// Rounding may give a constant's mean another value, so that deviations would not tell.
bool IsConstant(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return value == values.front(); });
}

double Mean(absl::Span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

std::vector<double> Ranks(absl::Span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> ranks(values.size());
  for (size_t first = 0, end = 0; first < order.size(); first = end) {
    while (end < order.size() && values[order[end]] == values[order[first]]) ++end;
    const double mean = static_cast<double>(first + end - 1) / 2;
    for (size_t i = first; i < end; ++i) ranks[order[i]] = mean;
  }
  return ranks;
}

}  // namespace

double Pearson(absl::Span<const double> a, absl::Span<const double> b) {
  if (IsConstant(a) || IsConstant(b)) return 0;
  const double mean_a = Mean(a), mean_b = Mean(b);
  double aa = 0, bb = 0, ab = 0;
  for (size_t i = 0; i < a.size(); ++i) {
    const double from_a = a[i] - mean_a, from_b = b[i] - mean_b;
    aa += from_a * from_a;
    bb += from_b * from_b;
    ab += from_a * from_b;
  }
  // Two roots: the product could overflow or vanish. It vanishes where all deviations do.
  const double norms = std::sqrt(aa) * std::sqrt(bb);
  return norms > 0 ? std::clamp(ab / norms, -1.0, 1.0) : 0;
}

double Spearman(absl::Span<const double> a, absl::Span<const double> b) {
  return Pearson(Ranks(a), Ranks(b));
}

}  // namespace stockpot
