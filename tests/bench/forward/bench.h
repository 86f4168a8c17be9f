// What the benchmarks here share: errors end the program, work is timed.
#ifndef STOCKPOT_TESTS_BENCH_FORWARD_BENCH_H_
#define STOCKPOT_TESTS_BENCH_FORWARD_BENCH_H_

#include <chrono>
#include <cstdlib>
#include <iostream>
#include <utility>

#include "absl/status/statusor.h"

namespace stockpot {

inline void Require(const absl::Status& status) {
  if (status.ok()) return;
  std::cerr << status << "\n";
  std::exit(1);
}

template <typename Value>
Value OrDie(absl::StatusOr<Value> value) {
  Require(value.status());
  return *std::move(value);
}

template <typename Work>
double SecondsOf(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_BENCH_FORWARD_BENCH_H_
