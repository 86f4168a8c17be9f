// A model that is large and does nothing with it. No torch here.
#ifndef STOCKPOT_TESTS_BENCH_SERVER_BIG_MODEL_H_
#define STOCKPOT_TESTS_BENCH_SERVER_BIG_MODEL_H_

#include <cstdint>
#include <string>

namespace stockpot {

// TinySweep's linear.pt, with a parameter `ballast` of so many float32 that its output ignores.
void SaveBigModel(const std::string& path, int64_t ballast);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_BENCH_SERVER_BIG_MODEL_H_
