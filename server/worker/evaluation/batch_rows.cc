#include "server/worker/evaluation/batch_rows.h"

#include <algorithm>
#include <cmath>

namespace stockpot {
namespace {

constexpr double kCacheBytes = 4 << 20;  // what layers in a row may fill
// Reading the weights once is little beside so much of what the layers give.
constexpr double kWeightShare = 4;
constexpr double kFewestLog = 2, kMostLog = 16;

double Quotient(double a, int64_t b) { return a / static_cast<double>(std::max<int64_t>(b, 1)); }

}  // namespace

int64_t RowsForCache(const ForwardMemory& of_one, int64_t weight_bytes) {
  const double for_cache = Quotient(kCacheBytes, of_one.peak);
  const double for_weights =
      Quotient(kWeightShare * static_cast<double>(weight_bytes), of_one.total);
  const double log = std::round(std::log2(std::max({for_cache, for_weights, 1.0})));
  return int64_t{1} << static_cast<int>(std::clamp(log, kFewestLog, kMostLog));
}

}  // namespace stockpot
