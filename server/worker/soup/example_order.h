// In which order an epoch goes through the examples. So that other programs can follow:
//
//   random = mt19937_64 seeded with (seed + 0x9E3779B97F4A7C15 · epoch) mod 2^64
//   order = 0, 1, … n - 1;  for i = n - 1 … 1: swap order[i] with order[random() mod (i + 1)]
//
// mt19937_64 is that of Nishimura and Matsumoto (2000), as in C++. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_SOUP_EXAMPLE_ORDER_H_
#define STOCKPOT_SERVER_WORKER_SOUP_EXAMPLE_ORDER_H_

#include <cstdint>
#include <vector>

namespace stockpot {

std::vector<int64_t> ExampleOrder(int64_t example_count, uint64_t seed, uint64_t epoch);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SOUP_EXAMPLE_ORDER_H_
