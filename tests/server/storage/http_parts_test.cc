// What HTTP reading is made of: fields of answers, retries, credentials, redirects.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "server/base/files.h"
#include "server/base/status.h"
#include "server/storage/credentials.h"
#include "server/storage/http_fields.h"
#include "server/storage/redirect_policy.h"
#include "server/storage/retry.h"
#include "tests/support/temporary_folder.h"

namespace stockpot {
namespace {

HttpFields Fields(const std::vector<std::string>& lines) {
  HttpFields fields;
  for (const std::string& line : lines) AddHttpField(line, &fields);
  return fields;
}

TEST(HttpFields, WhatIsNotUnderstoodIsNotThere) {
  const HttpFields fields = Fields({"ETag:  \"x\" ", "etag: \"second\"", "no field", ": empty"});
  EXPECT_EQ(fields.size(), 1u);
  EXPECT_EQ(StrongEntityTagOf(fields), "\"x\"");
  EXPECT_EQ(StrongEntityTagOf(Fields({"etag: W/\"x\""})), "");
  EXPECT_EQ(StrongEntityTagOf(Fields({"etag: x"})), "");
  EXPECT_EQ(VersionTextOf({}), "");
  EXPECT_NE(VersionTextOf(Fields({"etag: W/\"x\""})), "");
  EXPECT_EQ(ContentLengthOf(Fields({"content-length: 12"})), 12u);
  for (const char* text : {"-1", "+1", "1 2", "0x1", "", "99999999999999999999999"}) {
    EXPECT_EQ(ContentLengthOf(Fields({absl::StrCat("content-length: ", text)})), std::nullopt);
  }
}

TEST(HttpFields, AContentRangeIsWithinItsFile) {
  const auto range = [](const char* text) {
    return ContentRangeOf(Fields({absl::StrCat("content-range: ", text)}));
  };
  const std::optional<ContentRange> part = range("bytes 5-9/10");
  ASSERT_TRUE(part.has_value());
  EXPECT_TRUE(part->is_satisfied);
  EXPECT_EQ(part->begin, 5u);
  EXPECT_EQ(part->end, 10u);
  EXPECT_EQ(part->size, 10u);
  ASSERT_TRUE(range("bytes */10").has_value());
  EXPECT_FALSE(range("bytes */10")->is_satisfied);
  for (const char* text : {"bytes 5-10/10", "bytes 6-5/10", "bytes 0-0/*", "bytes -1/10", "0-0/10",
                           "bytes 0-/10", "bytes 0-0", "items 0-0/10"}) {
    EXPECT_EQ(range(text), std::nullopt) << text;
  }
}

TEST(HttpFields, RetryAfterIsSecondsOrADate) {
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);  // Tue, 14 Nov 2023 22:13:20
  const auto after = [&](const char* text) {
    return RetryAfterOf(Fields({absl::StrCat("retry-after: ", text)}), now);
  };
  EXPECT_EQ(after("7"), absl::Seconds(7));
  EXPECT_EQ(after("Tue, 14 Nov 2023 22:13:50 GMT"), absl::Seconds(30));
  EXPECT_EQ(after("Tue, 14 Nov 2023 22:00:00 GMT"), absl::ZeroDuration());
  EXPECT_EQ(after("soon"), absl::ZeroDuration());
  EXPECT_EQ(after("-5"), absl::ZeroDuration());
}

class RetriesTest : public testing::Test {
 protected:
  absl::Duration WaitedAfter(Retries* retries, const absl::Status& failure, bool progress = false) {
    waited_ = absl::ZeroDuration();
    last_ = retries->AfterFailure(failure, progress, [this] { return going_; });
    return waited_;
  }
  Sleep sleep_ = [this](absl::Duration duration) {
    EXPECT_LE(duration, absl::Seconds(1)) << "a cancelled task ends soon";
    waited_ += duration;
  };
  absl::Duration waited_;
  absl::Status going_, last_;
  const absl::Status failure_ = absl::UnavailableError("no answer");
};

TEST_F(RetriesTest, WaitTwiceAsLongEachTimeWithJitterAndThenGiveUp) {
  Retries retries({.most_failures = 5,
                   .first_wait = absl::Seconds(1),
                   .most_wait = absl::Seconds(3),
                   .most_retry_after = absl::Minutes(1)},
                  sleep_);
  for (const int most : {1, 2, 3, 3}) {
    const absl::Duration waited = WaitedAfter(&retries, failure_);
    EXPECT_TRUE(last_.ok());
    EXPECT_GE(waited, absl::Seconds(most) / 2);
    EXPECT_LE(waited, absl::Seconds(most));
  }
  WaitedAfter(&retries, failure_);
  EXPECT_EQ(last_, failure_);
}

TEST_F(RetriesTest, WaitAsLongAsTheServerAsksUnlessThatIsTooLong) {
  Retries retries({}, sleep_);
  ErrorFacts facts;
  facts.retry_after = absl::Seconds(50);
  EXPECT_EQ(WaitedAfter(&retries, WithFacts(failure_, facts)), absl::Seconds(50));
  facts.retry_after = absl::Hours(1);
  WaitedAfter(&retries, WithFacts(failure_, facts));
  EXPECT_EQ(GetErrorFacts(last_).retry_after, absl::Hours(1));
}

TEST_F(RetriesTest, ProgressForgivesFailuresAndCancellingEndsTheWait) {
  Retries retries({}, sleep_);
  for (int i = 0; i < 50; ++i) {
    WaitedAfter(&retries, failure_, /*progress=*/true);
    ASSERT_TRUE(last_.ok());
  }
  going_ = absl::CancelledError("cancelled");
  WaitedAfter(&retries, failure_, /*progress=*/true);
  EXPECT_EQ(last_.code(), absl::StatusCode::kCancelled);
}

TEST_F(RetriesTest, WhatAnotherTryCannotMendIsGivenBackAtOnce) {
  Retries retries({}, sleep_);
  for (const absl::Status& status :
       {absl::NotFoundError("x"), absl::PermissionDeniedError("x"), absl::CancelledError("x"),
        WithReason(absl::FailedPreconditionError("x"), "SOURCE_UNSUPPORTED"),
        WithReason(absl::ResourceExhaustedError("x"), "DISK_FULL")}) {
    EXPECT_EQ(WaitedAfter(&retries, status), absl::ZeroDuration());
    EXPECT_EQ(last_, status);
  }
}

TEST(Credentials, ATokenIsForItsHostAndPortOverTls) {
  TemporaryFolder folder;
  ASSERT_TRUE(WriteFileDurably(folder / "tokens",
                               "# ours\n\nModels.example.com secret-1\n"
                               "intern:8080\tsecret-2\r\n")
                  .ok());
  const absl::StatusOr<Credentials> credentials = Credentials::ReadFile(folder / "tokens");
  ASSERT_TRUE(credentials.ok()) << credentials.status();
  const AddressPolicy policy({"intern"});
  const auto token = [&](const char* uri) {
    return credentials->TokenFor(*ParseRemoteUri(uri), policy);
  };
  EXPECT_EQ(token("https://models.example.com/a"), "secret-1");
  EXPECT_EQ(token("http://intern:8080/a"), "secret-2");
  EXPECT_EQ(token("http://models.example.com:443/a"), "") << "anybody could read it";
  EXPECT_EQ(token("https://models.example.com:444/a"), "");
  EXPECT_EQ(token("https://example.com/a"), "");
  EXPECT_EQ(token("https://evil-models.example.com/a"), "");
}

TEST(Credentials, AFileThatIsNoneIsRefusedByLineWithoutItsContent) {
  TemporaryFolder folder;
  for (const char* text : {"secret", "host secret more", "host/path secret", "u@host secret"}) {
    ASSERT_TRUE(WriteFileDurably(folder / "tokens", absl::StrCat("\n", text, "\n")).ok());
    const absl::Status status = Credentials::ReadFile(folder / "tokens").status();
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("line 2")) << text;
    EXPECT_THAT(std::string(status.message()), testing::Not(testing::HasSubstr("secret"))) << text;
  }
  EXPECT_FALSE(Credentials::ReadFile(folder / "none").ok());
  EXPECT_FALSE(Credentials().Add("host", "two words").ok());
  EXPECT_FALSE(Credentials().Add("host", "a\r\nX-Other: b").ok());
}

TEST(RedirectPolicy, LeadsToAllowedPrefixesAndNamedHostsOnly) {
  const RedirectPolicy policy =
      *RedirectPolicy::Create({"https://host/data", "hf://org/"}, {"/arch", "https://host/arch"},
                              {"CDN.example", "*.hub.co"});
  const auto leads = [&](const char* to, Purpose purpose,
                         const char* from = "https://host/data/a") {
    return policy.Check(*ParseRedirect(from), *ParseRedirect(to), purpose).ok();
  };
  EXPECT_TRUE(leads("https://host/data/b", Purpose::kData));
  EXPECT_TRUE(leads("https://cdn.example/x?sig=1", Purpose::kData));
  EXPECT_TRUE(leads("https://a.hub.co/x", Purpose::kArchitecture));
  EXPECT_TRUE(leads("https://host/arch/b", Purpose::kArchitecture));
  EXPECT_FALSE(leads("https://host/data/b", Purpose::kArchitecture));
  EXPECT_FALSE(leads("https://host/secret", Purpose::kData)) << "an open redirect";
  EXPECT_FALSE(leads("https://evil.example/x", Purpose::kData));
  EXPECT_FALSE(leads("https://hub.co/x", Purpose::kData));
  EXPECT_FALSE(leads("https://evilhub.co/x", Purpose::kData));
  EXPECT_FALSE(leads("https://cdn.example.evil.com/x", Purpose::kData));
  EXPECT_FALSE(leads("http://cdn.example/x", Purpose::kData)) << "anybody could change it";
  EXPECT_TRUE(leads("http://cdn.example/x", Purpose::kData, "http://host/data/a"));
  for (const char* host : {"https://cdn", "*", "*.", "a*.b", "host/path"}) {
    EXPECT_FALSE(RedirectPolicy::Create({}, {}, {host}).ok()) << host;
  }
}

}  // namespace
}  // namespace stockpot
