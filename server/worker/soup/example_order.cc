#include "server/worker/soup/example_order.h"

#include <numeric>
#include <random>
#include <utility>

namespace stockpot {

std::vector<int64_t> ExampleOrder(int64_t example_count, uint64_t seed, uint64_t epoch) {
  std::mt19937_64 random(seed + 0x9E3779B97F4A7C15 * epoch);
  std::vector<int64_t> order(static_cast<size_t>(example_count));
  std::iota(order.begin(), order.end(), 0);
  for (size_t i = order.size(); i-- > 1;) std::swap(order[i], order[random() % (i + 1)]);
  return order;
}

}  // namespace stockpot
