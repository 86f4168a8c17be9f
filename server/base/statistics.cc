#include "server/base/statistics.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <numeric>

namespace stockpot {
namespace {

// Sum of (a - mean a)(b - mean b).
double Comoment(absl::Span<const double> a, double mean_a, absl::Span<const double> b,
                double mean_b) {
  double sum = 0;
  for (size_t i = 0; i < a.size(); ++i) sum += (a[i] - mean_a) * (b[i] - mean_b);
  return sum;
}

bool IsConstant(absl::Span<const double> values) {
  return std::all_of(values.begin(), values.end(),
                     [&](double value) { return value == values.front(); });
}

}  // namespace

double Mean(absl::Span<const double> values) {
  if (values.empty()) return 0;
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

double StandardDeviation(absl::Span<const double> values) {
  if (values.size() < 2) return 0;
  const double mean = Mean(values);
  return std::sqrt(Comoment(values, mean, values, mean) / static_cast<double>(values.size() - 1));
}

double PearsonCorrelation(absl::Span<const double> a, absl::Span<const double> b) {
  // Asked of the values: what rounding leaves of a constant's deviations is no variance.
  if (IsConstant(a) || IsConstant(b)) return 0;
  const double mean_a = Mean(a);
  const double mean_b = Mean(b);
  // Two roots: the product could overflow or vanish. It vanishes where all deviations do.
  const double norms =
      std::sqrt(Comoment(a, mean_a, a, mean_a)) * std::sqrt(Comoment(b, mean_b, b, mean_b));
  return norms > 0 ? std::clamp(Comoment(a, mean_a, b, mean_b) / norms, -1.0, 1.0) : 0;
}

std::vector<double> Ranks(absl::Span<const double> values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t i, size_t j) { return values[i] < values[j]; });
  std::vector<double> ranks(values.size());
  for (size_t begin = 0; begin < order.size();) {
    size_t end = begin;
    while (end < order.size() && values[order[end]] == values[order[begin]]) ++end;
    const double rank = static_cast<double>(begin + 1 + end) / 2;
    for (size_t i = begin; i < end; ++i) ranks[order[i]] = rank;
    begin = end;
  }
  return ranks;
}

double SpearmanCorrelation(absl::Span<const double> a, absl::Span<const double> b) {
  return PearsonCorrelation(Ranks(a), Ranks(b));
}

}  // namespace stockpot
