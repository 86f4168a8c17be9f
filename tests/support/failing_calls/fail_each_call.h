// Something done again and again while its file-system calls fail in turn, as failing_calls.h has
// it. Thread safety: as FailingCalls.
#ifndef STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAIL_EACH_CALL_H_
#define STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAIL_EACH_CALL_H_

#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/support/failing_calls/failing_calls.h"
#include "tests/support/thinning.h"

namespace stockpot {

struct EachCall {
  std::string folder;     // of the calls that fail
  std::string what = "";  // is done: for messages
  FailingCalls::Options failure = {};
  std::string reason = "";  // that every failed attempt must say; "": any
  std::function<void()> clear;
};

// For n = 1, 2, … (thinned) until no call is left to fail: clears, has `attempt`
// (absl::StatusOr<Value>()) made with the n-th call failing, and once more without when that gave
// an error. `expect_right` (void(const absl::StatusOr<Value>&)) holds what is no error, and what
// the second attempt gives, to what it must be. Gives how many attempts failed.
template <typename Attempt, typename ExpectRight>
int FailEachCall(EachCall each, Attempt attempt, ExpectRight expect_right) {
  int failures = 0;
  for (int64_t n = 1; !testing::Test::HasFailure(); n += Thinning()) {
    each.clear();
    each.failure.first = n;
    FailingCalls calls(each.folder, each.failure);
    const auto first = attempt();
    const std::string failed = calls.failed();
    SCOPED_TRACE(absl::StrCat(each.what, " call ", n, ": ", failed));
    calls.Mend();
    if (first.ok() || failed.empty()) {
      expect_right(first);
      if (failed.empty()) break;
      continue;
    }
    ++failures;
    EXPECT_FALSE(first.status().message().empty());
    if (!each.reason.empty()) {
      EXPECT_EQ(GetErrorFacts(first.status()).reason, each.reason) << first.status();
    }
    expect_right(attempt());
  }
  return failures;
}

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_FAILING_CALLS_FAIL_EACH_CALL_H_
