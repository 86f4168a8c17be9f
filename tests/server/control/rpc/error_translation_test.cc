#include "server/control/rpc/error_translation.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "tests/server/control/rpc/rpc_fixture.h"

namespace stockpot {
namespace {

size_t PercentEncodedSize(const std::string& text) {
  size_t size = 0;
  for (char c : text) size += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  return size;
}

TEST(ErrorTranslation, KeepsCodeMessageReasonMetadataViolationsAndRetryDelay) {
  ErrorFacts facts;
  facts.reason = "TOO_MANY_JOBS";
  facts.metadata = {{"limit", "1000"}};
  facts.violations = {{"job.spec.ingredients[3].uri", "is required"}};
  facts.retry_after = absl::Milliseconds(1500);
  const grpc::Status status =
      ToGrpcStatus(WithFacts(absl::ResourceExhaustedError("too many"), facts));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::RESOURCE_EXHAUSTED);
  EXPECT_EQ(status.error_message(), "too many");
  const ClientError error(status);
  EXPECT_EQ(error.rpc.code(), status.error_code());
  EXPECT_EQ(error.rpc.message(), status.error_message());
  EXPECT_EQ(error.info.domain(), "stockpot.dev");
  EXPECT_EQ(error.info.reason(), "TOO_MANY_JOBS");
  EXPECT_EQ(error.info.metadata().at("limit"), "1000");
  EXPECT_THAT(error.fields(), testing::ElementsAre("job.spec.ingredients[3].uri"));
  EXPECT_EQ(error.retry.retry_delay().seconds(), 1);
  EXPECT_EQ(error.retry.retry_delay().nanos(), 500'000'000);
}

TEST(ErrorTranslation, GivesNoDetailsToAnErrorWithoutFacts) {
  const ClientError error(ToGrpcStatus(absl::InternalError("oops")));
  EXPECT_EQ(error.rpc.details_size(), 0);
}

TEST(ErrorTranslation, ShowsTheFirstTwentyViolationsAndTheirCount) {
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  for (int i = 0; i < 500; ++i) {
    facts.violations.push_back({absl::StrCat("job.spec.ingredients[", i, "].uri"), "is required"});
  }
  const ClientError error(ToGrpcStatus(WithFacts(absl::InvalidArgumentError("bad"), facts)));
  ASSERT_EQ(error.bad_request.field_violations_size(), 20);
  EXPECT_EQ(error.bad_request.field_violations(19).field(), "job.spec.ingredients[19].uri");
  EXPECT_EQ(error.info.metadata().at("violation_count"), "500");
}

// Any error fits the bounds, stays valid UTF-8 (or a client could not parse it) and keeps its
// reason.
TEST(ErrorTranslation, StaysWithinItsBoundsWhateverTheError) {
  std::mt19937 random(7);
  const auto text = [&](size_t max) {
    std::string result(random() % (max + 1), 'x');
    const int kind = static_cast<int>(random() % 3);
    for (char& c : result) {
      c = kind == 0 ? static_cast<char>('a' + random() % 26) : static_cast<char>(random());
    }
    if (kind == 2) {
      result.clear();
      for (size_t i = 0; i < max / 3; ++i) absl::StrAppend(&result, "€");
    }
    return result;
  };
  for (int round = 0; round < 300; ++round) {
    ErrorFacts facts;
    facts.reason = "INVALID_FIELD";
    // More than twenty are left out anyway: many of them now and then.
    for (size_t i = random() % (round % 30 == 0 ? 500 : 40); i > 0; --i) {
      facts.violations.push_back({text(300), text(3000)});
    }
    for (size_t i = random() % 40; i > 0; --i) facts.metadata[text(200)] = text(2000);
    facts.retry_after = absl::Seconds(random() % 3);
    const absl::Status original(static_cast<absl::StatusCode>(1 + random() % 16), text(5000));
    const grpc::Status status = ToGrpcStatus(WithFacts(original, facts));
    ASSERT_LE(status.error_message().size(), kMaxErrorMessageBytes);
    ASSERT_LE(PercentEncodedSize(status.error_message()), 2048u);
    ASSERT_LE(status.error_details().size(), kMaxErrorDetailsBytes);
    const ClientError error(status);
    ASSERT_EQ(error.info.reason(), "INVALID_FIELD");
    ASSERT_EQ(error.rpc.message(), status.error_message());
    if (!facts.violations.empty()) {
      ASSERT_GT(error.bad_request.field_violations_size(), 0);
    }
  }
}

TEST(BoundedUtf8, CutsBetweenCharactersAndMarksTheCut) {
  EXPECT_EQ(BoundedUtf8("abc", 3), "abc");
  EXPECT_EQ(BoundedUtf8("abcdef", 5), "ab…");
  EXPECT_EQ(BoundedUtf8("€€€", 9), "€€€");
  EXPECT_EQ(BoundedUtf8("€€€", 8), "€…");
  EXPECT_EQ(BoundedUtf8("abcdef", 2), "");
}

TEST(BoundedUtf8, ReplacesWhatIsNotUtf8) {
  for (const std::string bad : {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80",
                                "\xF5\x80\x80\x80", "\xF4\x90\x80\x80", "\xE2\x82"}) {
    EXPECT_EQ(BoundedUtf8("a" + bad + "b", 100), "a" + std::string(bad.size(), '?') + "b");
  }
  EXPECT_EQ(BoundedUtf8("é€😀", 100), "é€😀");
}

}  // namespace
}  // namespace stockpot
