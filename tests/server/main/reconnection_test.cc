#include "server/main/reconnection.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

#include "server/base/status.h"
#include "tests/support/fakes/fake_clock.h"

namespace stockpot {
namespace {

using testing::ElementsAre;

// Sessions that end as they are told, on a clock that only they and waiting move.
class ReconnectionTest : public testing::Test {
 protected:
  struct Session {
    absl::Status ends;
    absl::Duration after = absl::ZeroDuration();
  };

  // Asked to end once all were run.
  absl::Status Run(const std::vector<Session>& sessions) {
    Reconnection options;
    options.backoff = {absl::Seconds(1), absl::Seconds(10)};
    options.jitter = [this] { return jitter_; };
    options.session = [&] {
      const Session& session = sessions[run_++];
      clock_.Advance(session.after);
      return session.ends;
    };
    options.wait = [&](absl::Duration duration) {
      if (duration > absl::ZeroDuration()) waits_.push_back(absl::ToDoubleSeconds(duration));
      return run_ == sessions.size() && duration > absl::ZeroDuration();
    };
    return KeepConnected(options, &clock_, log_.get());
  }

  FakeClock clock_;
  const std::unique_ptr<Log> log_ = Log::Silent();
  double jitter_ = 0;
  size_t run_ = 0;
  std::vector<double> waits_;  // seconds
};

TEST_F(ReconnectionTest, WaitsLongerEachTimeUpToABound) {
  EXPECT_TRUE(Run(std::vector<Session>(6, {absl::UnavailableError("no server")})).ok());
  EXPECT_THAT(waits_, ElementsAre(1, 2, 4, 8, 10, 10));
}

TEST_F(ReconnectionTest, JitterTakesUpToHalfAway) {
  jitter_ = 1;
  EXPECT_TRUE(Run(std::vector<Session>(3, {absl::UnavailableError("no server")})).ok());
  EXPECT_THAT(waits_, ElementsAre(0.5, 1, 2));
}

TEST_F(ReconnectionTest, ASessionThatLastedMakesItShortAgain) {
  const Session failed = {absl::UnavailableError("no server")};
  EXPECT_TRUE(Run({failed, failed, failed, {absl::OkStatus(), absl::Minutes(5)}, failed}).ok());
  EXPECT_THAT(waits_, ElementsAre(1, 2, 4, 1, 2));
}

TEST_F(ReconnectionTest, WhatWaitingDoesNotMendEndsIt) {
  for (const absl::Status& status :
       {absl::UnauthenticatedError("x"), absl::PermissionDeniedError("x"),
        absl::FailedPreconditionError("x"), absl::InvalidArgumentError("x"),
        absl::UnimplementedError("x"), absl::NotFoundError("x"),
        WithReason(absl::InternalError("x"), "DEVICE_LOST")}) {
    run_ = 0;
    EXPECT_EQ(Run({{status}, {status}}).code(), status.code());
    EXPECT_EQ(run_, 1u);
  }
  EXPECT_TRUE(waits_.empty());
}

TEST_F(ReconnectionTest, WhatMayPassIsTriedAgain) {
  for (const absl::Status& status :
       {absl::OkStatus(), absl::UnavailableError("x"), absl::CancelledError("x"),
        absl::UnknownError("x"), absl::ResourceExhaustedError("x"),
        absl::InternalError("a stream that broke")}) {
    run_ = 0;
    EXPECT_TRUE(Run({{status}, {status}}).ok()) << status;
    EXPECT_EQ(run_, 2u);
  }
}

}  // namespace
}  // namespace stockpot
