#include "server/control/metrics/metrics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <regex>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/control/metrics/metrics_server.h"
#include "tests/support/http_fetch.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

TEST(ServerMetrics, CountsUnderTheDocumentedNames) {
  ServerMetrics metrics("1.2.3", absl::FromUnixSeconds(1000));
  metrics.SetJobs(3, 2, 1, absl::Seconds(90));
  metrics.CountJobEnded("SUCCEEDED");
  metrics.CountTaskEnded("measure", "ok", 2.5);
  metrics.CountTaskEnded("measure", "lost", 0.5);
  metrics.CountEvaluation(200);
  metrics.CountEvaluation(0);
  metrics.CountCandidate("rejected");
  metrics.SetWorkers("local", 4, 1);
  metrics.SetWorkers("remote", 2, 2);
  metrics.CountCallStarted({"unary", "stockpot.v1.SoupService", "GetJob"});
  metrics.CountCallEnded({"unary", "stockpot.v1.SoupService", "GetJob"}, "NotFound", 0.002);
  const std::string text = metrics.Text();
  for (const char* line :
       {"stockpot_jobs{state=\"queued\"} 3",
        "stockpot_jobs{state=\"running\"} 2",
        "stockpot_jobs{state=\"suspended\"} 1",
        "stockpot_jobs_ended_total{state=\"succeeded\"} 1",
        "stockpot_jobs_ended_total{state=\"failed\"} 0",
        "stockpot_tasks_ended_total{kind=\"measure\",outcome=\"ok\"} 1",
        "stockpot_tasks_ended_total{kind=\"measure\",outcome=\"lost\"} 1",
        "stockpot_task_duration_seconds_count{kind=\"measure\"} 2",
        "stockpot_task_duration_seconds_sum{kind=\"measure\"} 3",
        "stockpot_evaluations_total{extent=\"stopped_early\"} 1",
        "stockpot_evaluations_total{extent=\"full\"} 1",
        "stockpot_examples_spared_total 200",
        "stockpot_oldest_queued_job_age_seconds 90",
        "stockpot_candidates_decided_total{decision=\"rejected\"} 1",
        "stockpot_candidates_decided_total{decision=\"accepted\"} 0",
        "stockpot_workers{place=\"local\",state=\"idle\"} 3",
        "stockpot_workers{place=\"local\",state=\"busy\"} 1",
        "stockpot_workers{place=\"remote\",state=\"idle\"} 0",
        "stockpot_workers{place=\"remote\",state=\"busy\"} 2",
        "stockpot_build_info{version=\"1.2.3\"} 1",
        "process_start_time_seconds 1000",
        "grpc_server_started_total{grpc_method=\"GetJob\",grpc_service=\"stockpot.v1.SoupService\","
        "grpc_type=\"unary\"} 1",
        "grpc_server_handled_total{grpc_code=\"NotFound\",grpc_method=\"GetJob\","
        "grpc_service=\"stockpot.v1.SoupService\",grpc_type=\"unary\"} 1",
        "grpc_server_handling_seconds_count{grpc_method=\"GetJob\","}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
}

// What Prometheus' own lint asks for: help, base units, _total on counters and only there.
TEST(ServerMetrics, NamesFollowTheConventions) {
  ServerMetrics metrics("1", absl::UnixEpoch());
  std::istringstream lines(metrics.Text());
  std::string line;
  std::smatch match;
  const std::regex type_line("# TYPE ([a-z0-9_]+) ([a-z]+)");
  int families = 0;
  while (std::getline(lines, line)) {
    if (!std::regex_match(line, match, type_line)) continue;
    ++families;
    const std::string name = match[1], type = match[2];
    EXPECT_EQ(name.size() > 6 && name.substr(name.size() - 6) == "_total", type == "counter")
        << name;
    EXPECT_THAT(metrics.Text(), HasSubstr(absl::StrCat("# HELP ", name, " "))) << name;
  }
  EXPECT_GE(families, 5);
}

TEST(MetricsServer, ServesOnAFreePort) {
  ServerMetrics metrics("1", absl::UnixEpoch());
  const auto server = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(server.ok()) << server.status();
  const std::string response = HttpFetch((*server)->port(), "/metrics");
  EXPECT_THAT(response, HasSubstr("200 OK"));
  EXPECT_THAT(response, HasSubstr("stockpot_build_info"));
  EXPECT_THAT(HttpFetch((*server)->port(), "/etc/passwd"), HasSubstr("404"));
}

// civetweb alone takes two seconds each time.
TEST(MetricsServer, StopsAtOnce) {
  const absl::Time start = absl::Now();
  for (int i = 0; i < 10; ++i) {
    ServerMetrics metrics("1", absl::UnixEpoch());
    const auto server = MetricsServer::Start("127.0.0.1:0", metrics);
    ASSERT_TRUE(server.ok()) << server.status();
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(10));
}

TEST(MetricsServer, SaysThatThePortIsTaken) {
  ServerMetrics metrics("1", absl::UnixEpoch());
  const auto first = MetricsServer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = MetricsServer::Start(absl::StrCat("127.0.0.1:", (*first)->port()), metrics);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kUnavailable);
  EXPECT_THAT(std::string(second.status().message()), HasSubstr("--metrics_listen"));
}

TEST(MetricsServer, RefusesNonsense) {
  ServerMetrics metrics("1", absl::UnixEpoch());
  EXPECT_FALSE(MetricsServer::Start("nonsense", metrics).ok());
}

}  // namespace
}  // namespace stockpot
