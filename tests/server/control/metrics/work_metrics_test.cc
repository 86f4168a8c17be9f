#include "server/control/metrics/work_metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <string>

#include "server/control/metrics/metrics.h"

namespace stockpot {
namespace {

using testing::HasSubstr;
using testing::Not;

class WorkMetricsTest : public testing::Test {
 protected:
  std::string Text() const { return metrics_.Text(); }
  static WorkCounts Counts(int64_t examples) {
    WorkCounts counts;
    counts.examples = examples;
    counts.memory.device = "cpu";
    return counts;
  }

  ServerMetrics metrics_{"1", absl::UnixEpoch()};
};

TEST_F(WorkMetricsTest, WhatIsNewOfEachWorkerIsAdded) {
  metrics_.work().Report("a", Counts(10));
  metrics_.work().Report("b", Counts(100));
  metrics_.work().Report("a", Counts(10));
  metrics_.work().Report("a", Counts(15));
  EXPECT_THAT(Text(), HasSubstr("stockpot_examples_evaluated_total 115\n"));
  // The worker in the place of one that is gone begins at zero.
  metrics_.work().Forget("a");
  metrics_.work().Report("c", Counts(3));
  EXPECT_THAT(Text(), HasSubstr("stockpot_examples_evaluated_total 118\n"));
}

TEST_F(WorkMetricsTest, EveryNumberHasItsPlace) {
  WorkCounts counts;
  counts.busy_seconds = 1.5;
  counts.decode_seconds = 0.25;
  counts.caches["data_sets"] = {4, 2};
  counts.storage["s3"] = {.requests = 9, .errors = 1, .bytes_read = 1000, .bytes_written = 50};
  counts.memory = {"cuda:1", 30, 80};
  counts.kept_checkpoint_bytes = 7;
  metrics_.work().Report("a", counts);
  metrics_.work().CountLookups("facts", 5, 6);
  for (const char* line : {"stockpot_device_busy_seconds_total{device=\"cuda:1\"} 1.5\n",
                           "stockpot_decode_seconds_total 0.25\n",
                           "stockpot_cache_hits_total{cache=\"data_sets\"} 4\n",
                           "stockpot_cache_misses_total{cache=\"data_sets\"} 2\n",
                           "stockpot_cache_hits_total{cache=\"facts\"} 5\n",
                           "stockpot_cache_misses_total{cache=\"facts\"} 6\n",
                           "stockpot_storage_requests_total{scheme=\"s3\"} 9\n",
                           "stockpot_storage_errors_total{scheme=\"s3\"} 1\n",
                           "stockpot_storage_read_bytes_total{scheme=\"s3\"} 1000\n",
                           "stockpot_storage_written_bytes_total{scheme=\"s3\"} 50\n",
                           "stockpot_storage_requests_total{scheme=\"gs\"} 0\n",
                           "stockpot_device_memory_used_bytes{device=\"cuda:1\"} 30\n",
                           "stockpot_device_memory_size_bytes{device=\"cuda:1\"} 80\n",
                           "stockpot_checkpoint_cache_mapped_bytes 7\n"}) {
    EXPECT_THAT(Text(), HasSubstr(line));
  }
  metrics_.work().Forget("a");
  EXPECT_THAT(Text(), HasSubstr("stockpot_checkpoint_cache_mapped_bytes 0\n"));
}

// A worker may have been taken over through a hostile file.
TEST_F(WorkMetricsTest, WhatAWorkerMakesUpIsNeitherALabelNorAStep) {
  WorkCounts counts;
  counts.caches["jobs/secret"] = {1, 1};
  counts.storage["https://host/?token=secret"] = {.requests = 2};
  counts.storage["ftp"] = {.requests = 3};
  counts.memory = {"secret", 1, 2};
  counts.busy_seconds = 1;
  counts.examples = 10;
  metrics_.work().Report("secret", counts);
  EXPECT_THAT(Text(), Not(HasSubstr("secret")));
  EXPECT_THAT(Text(), HasSubstr("stockpot_storage_requests_total{scheme=\"other\"} 5\n"));
  EXPECT_THAT(Text(), HasSubstr("stockpot_cache_hits_total{cache=\"other\"} 1\n"));
  EXPECT_THAT(Text(), HasSubstr("stockpot_device_busy_seconds_total{device=\"other\"} 1\n"));
  for (const char* device : {"cuda:", "cuda:1234", "cuda:x", "cuda:-1"}) {
    counts.memory.device = device;
    metrics_.work().Report("secret", counts);
    EXPECT_THAT(Text(), Not(HasSubstr(std::string("\"") + device + "\""))) << device;
  }
  // Counters never fall.
  counts.examples = -5;
  metrics_.work().Report("secret", counts);
  EXPECT_THAT(Text(), HasSubstr("stockpot_examples_evaluated_total 10\n"));
  for (const double number : {std::nan(""), std::numeric_limits<double>::infinity(), -1.0}) {
    counts.busy_seconds = counts.decode_seconds = number;
    metrics_.work().Report("secret", counts);
    EXPECT_THAT(Text(), HasSubstr("stockpot_decode_seconds_total 0\n")) << number;
  }
}

}  // namespace
}  // namespace stockpot
