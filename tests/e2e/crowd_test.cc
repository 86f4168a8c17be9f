// Many watchers and many queued jobs at once: none lost, memory bounded. (tests/bench/crowd: more.)
#include "tests/support/crowd/crowd.h"

#include <gtest/gtest.h>

#include "tests/support/sanitized.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

TEST(Crowd, LosesNoJobAndNoEventAndKeepsItsMemory) {
  const TinySweep sweep;
  ServerProcess server({.threads_per_worker = 1});
  const CrowdFigures figures = RunCrowd(server, sweep.Spec(), {.jobs = 50, .watchers = 50});
  EXPECT_EQ(figures.succeeded, 50);
  EXPECT_EQ(figures.gaps, 0);
  EXPECT_FALSE(figures.get_job_milliseconds.empty());
  if (kSanitized) return;  // what was freed stays for a while
  // Connections, streams and caches: some, but nothing that grows with what was told.
  EXPECT_LT(figures.memory_kib_peak - figures.memory_kib_before, 100 * 1024);
}

}  // namespace
}  // namespace stockpot
