// What benchmarks share: errors end the program, work is timed, by the clock and by processors.
#ifndef STOCKPOT_TESTS_BENCH_BENCH_H_
#define STOCKPOT_TESTS_BENCH_BENCH_H_

#include <time.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <nlohmann/json.hpp>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

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

// Of this process: user and system, all threads.
inline double ProcessorSeconds() {
  timespec time{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) * 1e-9;
}

using Ways = std::vector<std::pair<const char*, std::function<void()>>>;

// Goes each way once, in their order: "NAME_seconds" and "NAME_processor_seconds" of each.
inline void TimeEach(const Ways& ways, nlohmann::ordered_json* line) {
  const auto rounded = [](double seconds) { return std::round(seconds * 1e4) / 1e4; };
  for (const auto& [name, work] : ways) {
    const double processor_begin = ProcessorSeconds();
    (*line)[absl::StrCat(name, "_seconds")] = rounded(SecondsOf(work));
    (*line)[absl::StrCat(name, "_processor_seconds")] =
        rounded(ProcessorSeconds() - processor_begin);
  }
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_BENCH_BENCH_H_
