#include "server/base/parallel.h"

#include <gtest/gtest.h>

#include <atomic>
#include <new>
#include <string>
#include <vector>

#include "server/base/status.h"

namespace stockpot {
namespace {

TEST(ForEachInParallel, CallsEveryIndexOnceAndCountsThem) {
  std::vector<std::atomic<int>> calls(1000);
  int64_t last = 0;  // without a lock: progress is told one at a time
  const absl::Status status = ForEachInParallel(
      calls.size(),
      [&](size_t i) {
        ++calls[i];
        return absl::OkStatus();
      },
      [&](int64_t done, int64_t total) {
        EXPECT_EQ(done, ++last);
        EXPECT_EQ(total, 1000);
        return absl::OkStatus();
      });
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(last, 1000);
  for (const std::atomic<int>& count : calls) EXPECT_EQ(count, 1);
}

TEST(ForEachInParallel, GivesTheErrorOfTheSmallestIndexAndBeginsNoMore) {
  std::atomic<size_t> begun = 0;
  const absl::Status status = ForEachInParallel(1'000'000, [&](size_t i) {
    ++begun;
    return i < 7 ? absl::OkStatus() : absl::InternalError(std::to_string(i));
  });
  EXPECT_EQ(status.message(), "7");
  EXPECT_LT(begun, 1'000'000u);
}

TEST(ForEachInParallel, EndsWithWhatProgressGave) {
  std::atomic<size_t> begun = 0;
  const absl::Status status = ForEachInParallel(
      1'000'000,
      [&](size_t) {
        ++begun;
        return absl::OkStatus();
      },
      [](int64_t done, int64_t) {
        return done == 3 ? absl::CancelledError("enough") : absl::OkStatus();
      });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_LT(begun, 1'000'000u);
}

TEST(ForEachInParallel, RunningOutOfMemoryHasItsReason) {
  const absl::Status status =
      ForEachInParallel(3, [](size_t) -> absl::Status { throw std::bad_alloc(); });
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(GetErrorFacts(status).reason, "OUT_OF_MEMORY");
}

}  // namespace
}  // namespace stockpot
