#include "server/base/work_counters.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "absl/time/clock.h"

namespace stockpot {
namespace {

TEST(WorkCounters, AddUpFromAllThreads) {
  WorkCounters counters;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&] {
      for (int k = 0; k < 1000; ++k) {
        counters.CountExamples(2);
        counters.CountLookup(kDataSetCache, k % 4 == 0);
        counters.CountStorage("s3", {.requests = 1, .bytes_read = 10});
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  WorkCounts counts = counters.Read();
  EXPECT_EQ(counts.examples, 8000);
  EXPECT_EQ(counts.caches[kDataSetCache].hits, 1000);
  EXPECT_EQ(counts.caches[kDataSetCache].misses, 3000);
  EXPECT_EQ(counts.storage["s3"].requests, 4000);
  EXPECT_EQ(counts.storage["s3"].bytes_read, 40000);
  EXPECT_EQ(counts.storage["s3"].errors, 0);
}

TEST(WorkCounters, ADeviceIsBusyAlsoWhileItStillIs) {
  WorkCounters counters;
  EXPECT_EQ(counters.Read().busy_seconds, 0);
  double within = 0;
  {
    const WorkCounters::Busy busy(&counters);
    const double begun = counters.Read().busy_seconds;
    absl::SleepFor(absl::Milliseconds(2));
    within = counters.Read().busy_seconds;
    EXPECT_GT(within, begun);
  }
  const double ended = counters.Read().busy_seconds;
  EXPECT_GE(ended, within);
  absl::SleepFor(absl::Milliseconds(2));
  EXPECT_EQ(counters.Read().busy_seconds, ended);
}

}  // namespace
}  // namespace stockpot
