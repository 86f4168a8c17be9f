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

v1::ListJobsRequest Ordered(const std::string& order_by, const std::string& token = "") {
  v1::ListJobsRequest request = Request("", 0, token);
  request.set_order_by(order_by);
  return request;
}

TEST(ListQuery, ReadsEveryOrder) {
  const std::pair<const char*, JobOrder> cases[] = {
      {"", JobOrder::kNewestFirst},
      {"create_time desc", JobOrder::kNewestFirst},
      {"create_time", JobOrder::kOldestFirst},
      {" priority   desc ", JobOrder::kHighestPriorityFirst},
      {"priority", JobOrder::kLowestPriorityFirst},
  };
  for (const auto& [order_by, order] : cases) {
    EXPECT_EQ(ToJobQuery(Ordered(order_by))->order, order) << order_by;
  }
  for (const char* order_by : {"name", "create_time asc", "priority, create_time", "DESC"}) {
    EXPECT_EQ(FaultyField(Ordered(order_by)), "order_by") << order_by;
  }
}

TEST(ListQuery, PageTokenLeadsToThePlaceAfterTheLastJob) {
  JobRecord last;
  last.name = "jobs/m";
  last.create_time = absl::FromUnixMicros(1'234'567'890);
  last.priority = -7;
  v1::ListJobsRequest request = Request("state=FAILED");
  request.set_order_by("priority");
  request.set_page_token(MakePageToken(request, last));
  const auto query = ToJobQuery(request);
  ASSERT_TRUE(query.ok()) << query.status();
  ASSERT_TRUE(query->after.has_value());
  EXPECT_EQ(query->after->create_time, last.create_time);
  EXPECT_EQ(query->after->name, last.name);
  EXPECT_EQ(query->after->priority, last.priority);
}

TEST(ListQuery, PageTokenIsBoundToItsFilterAndOrder) {
  JobRecord last;
  last.name = "jobs/m";
  const std::string token = MakePageToken(Request(""), last);
  EXPECT_EQ(FaultyField(Request("state=FAILED", 0, token)), "page_token");
  EXPECT_EQ(FaultyField(Ordered("priority", token)), "page_token");
  EXPECT_EQ(FaultyField(Ordered("create_time desc", token)), "") << "the default, said aloud";
}

TEST(ListQuery, RefusesAForgedPageToken) {
  for (const char* token : {"x", "AAAA", "e30", "bnVsbA", "W10", "eyJ0aW1lIjoieCJ9"}) {
    EXPECT_EQ(FaultyField(Request("", 0, token)), "page_token") << token;
  }
}

}  // namespace
}  // namespace stockpot
