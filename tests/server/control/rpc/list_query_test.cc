#include "server/control/rpc/list_query.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "absl/strings/match.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

v1::ListJobsRequest Request(const std::string& filter, int page_size = 0,
                            const std::string& token = "") {
  v1::ListJobsRequest request;
  request.set_filter(filter);
  request.set_page_size(page_size);
  request.set_page_token(token);
  return request;
}

std::string FaultyField(const v1::ListJobsRequest& request) {
  const auto query = ToJobQuery(request);
  if (query.ok()) return "";
  EXPECT_EQ(query.status().code(), absl::StatusCode::kInvalidArgument);
  return GetErrorFacts(query.status()).violations.at(0).field;
}

TEST(ListQuery, ReadsStateAndLabels) {
  const auto query = ToJobQuery(Request("state=RUNNING AND labels.team=vision AND labels.x=a=b"));
  ASSERT_TRUE(query.ok()) << query.status();
  EXPECT_EQ(query->state, JobState::kRunning);
  EXPECT_THAT(query->labels,
              testing::ElementsAre(testing::Pair("team", "vision"), testing::Pair("x", "a=b")));
}

TEST(ListQuery, HasDefaultAndLargestPageSize) {
  EXPECT_EQ(ToJobQuery(Request(""))->limit, 50);
  EXPECT_EQ(ToJobQuery(Request("", 7))->limit, 7);
  EXPECT_EQ(ToJobQuery(Request("", 100'000))->limit, 1000);
}

TEST(ListQuery, RefusesWhatItDoesNotUnderstand) {
  for (const char* filter :
       {"running", "state=GONE", "state=RUNNING AND state=FAILED", "name=jobs/a", "labels.=x",
        "labels.a=1 AND labels.a=2", "state=RUNNING AND ", " AND "}) {
    EXPECT_EQ(FaultyField(Request(filter)), "filter") << filter;
  }
  EXPECT_EQ(FaultyField(Request("", -1)), "page_size");
}

TEST(ListQuery, PageTokenLeadsToThePlaceAfterTheLastJob) {
  JobRecord last;
  last.name = "jobs/m";
  last.create_time = absl::FromUnixMicros(1'234'567'890);
  const auto query = ToJobQuery(Request("state=FAILED", 0, MakePageToken("state=FAILED", last)));
  ASSERT_TRUE(query.ok()) << query.status();
  ASSERT_TRUE(query->after.has_value());
  EXPECT_EQ(query->after->create_time, last.create_time);
  EXPECT_EQ(query->after->name, last.name);
}

TEST(ListQuery, PageTokenIsBoundToItsFilter) {
  JobRecord last;
  last.name = "jobs/m";
  EXPECT_EQ(FaultyField(Request("state=FAILED", 0, MakePageToken("", last))), "page_token");
}

TEST(ListQuery, RefusesAForgedPageToken) {
  for (const char* token : {"x", "AAAA", "e30", "bnVsbA", "W10", "eyJ0aW1lIjoieCJ9"}) {
    EXPECT_EQ(FaultyField(Request("", 0, token)), "page_token") << token;
  }
}

}  // namespace
}  // namespace stockpot
