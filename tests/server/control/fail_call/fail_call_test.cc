// Every file-system call of a small job, SQLite's and libstdc++'s included, fails once in turn:
// n = 1, 2, … until none is left. It ends in the right result or in an error that says why, and
// then, retried, in the right result. Nothing hangs.
//
//   STOCKPOT_FAIL_CALL=17 fail_call_test     that call alone
#include <gtest/gtest.h>

#include <cerrno>
#include <cstdlib>
#include <string>

#include "absl/strings/str_join.h"
#include "tests/server/control/fail_call/small_job.h"
#include "tests/support/thinning.h"

namespace stockpot {
namespace {

struct Failure {
  const char* name;
  FailingCalls::Options options;
  int64_t step;   // 1: every n
  bool suspends;  // the job, from most calls on
};

class FailCall : public testing::TestWithParam<Failure> {
 protected:
  static std::string Undisturbed() {
    SmallJob job({});
    EXPECT_TRUE(job.Run()) << absl::StrJoin(job.problems(), "\n");
    EXPECT_GT(job.calls(), 200) << "are the calls interposed?";
    return job.result();
  }
};

TEST_P(FailCall, EndsInTheRightResult) {
  const std::string expected = Undisturbed();
  ASSERT_FALSE(HasFailure());
  const char* alone = std::getenv("STOCKPOT_FAIL_CALL");
  int failures = 0, suspensions = 0, runs = 0;
  int64_t n = alone == nullptr ? 1 : std::atoll(alone);
  for (bool reached = true; reached && !HasFailure(); n += GetParam().step * Thinning()) {
    FailingCalls::Options options = GetParam().options;
    options.first = n;
    SmallJob job(options);
    EXPECT_TRUE(job.Run()) << "STOCKPOT_FAIL_CALL=" << n << "\n"
                           << absl::StrJoin(job.problems(), "\n");
    EXPECT_TRUE(job.result() == expected) << "STOCKPOT_FAIL_CALL=" << n << " " << job.failed();
    reached = !job.failed().empty() && alone == nullptr;
    ++runs;
    failures += job.failures();
    suspensions += job.suspensions();
  }
  // Most of the calls are made while the job runs.
  if (GetParam().suspends && alone == nullptr) {
    EXPECT_GT(suspensions, runs / 2);
  }
  RecordProperty("calls", std::to_string(n - 1));
  RecordProperty("failures", failures);
  RecordProperty("suspensions", suspensions);
}

constexpr int64_t kForGood = 1000000;  // until it is mended

INSTANTIATE_TEST_SUITE_P(
    EachCall, FailCall,
    testing::Values(Failure{"InputOutputErrorOnce", {.error = EIO}, 1, false},
                    Failure{"DiskFullFromThereOn",
                            {.count = kForGood, .error = ENOSPC, .only_writes = true},
                            5,
                            true},
                    Failure{"ReadOnlyFromThereOn",
                            {.count = kForGood, .error = EROFS, .only_writes = true},
                            5,
                            true}),
    [](const auto& failure) { return std::string(failure.param.name); });

}  // namespace
}  // namespace stockpot
