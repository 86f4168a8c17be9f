// What happens around a job: workers and servers that die, clients, metrics, health.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/support/http_fetch.h"
#include "tests/support/server_process/server_log.h"
#include "tests/support/server_process/server_process.h"
#include "tests/support/temporary_folder.h"
#include "tests/support/tiny_sweep/tiny_sweep.h"

namespace stockpot {
namespace {

using testing::HasSubstr;

// Batches of one example through a slow model: a pass takes about a second.
v1::JobSpec SlowSpec(const TinySweep& sweep) {
  v1::JobSpec spec = sweep.Spec("slow.pt");
  spec.mutable_compute()->set_batch_size(1);
  return spec;
}

std::string Create(ServerProcess& server, const v1::JobSpec& spec) {
  grpc::ClientContext context;
  v1::CreateJobRequest request;
  *request.mutable_job()->mutable_spec() = spec;
  v1::Job job;
  const grpc::Status status = server.stub().CreateJob(&context, request, &job);
  EXPECT_TRUE(status.ok()) << status.error_message();
  return job.name();
}

// Watches from the beginning until `stop` likes an event; gives all that are in the sequence.
std::vector<v1::JobEvent> WatchUntil(ServerProcess& server, const std::string& name,
                                     const std::function<bool(const v1::JobEvent&)>& stop) {
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(name);
  auto reader = server.stub().WatchJob(&context, request);
  std::vector<v1::JobEvent> events;
  v1::JobEvent event;
  while (reader->Read(&event)) {
    EXPECT_FALSE(event.has_soup_written()) << "over before it could be disturbed";
    if (event.sequence() > 0) events.push_back(event);
    if (stop(event)) break;
  }
  context.TryCancel();
  return events;
}

void WaitUntilEvaluating(ServerProcess& server, const std::string& name) {
  WatchUntil(server, name,
             [](const v1::JobEvent& event) { return event.progress().examples_done() > 0; });
}

TEST(Lifecycle, AWorkerKilledInATaskCostsThatAttemptAndNothingElse) {
  const TinySweep sweep(40);
  ServerProcess server({});
  const std::string name = Create(server, SlowSpec(sweep));
  WaitUntilEvaluating(server, name);
  const std::vector<pid_t> workers = server.WorkerProcessIds();
  ASSERT_EQ(workers.size(), 1u);
  kill(workers[0], SIGKILL);
  std::vector<v1::JobEvent> events;
  const v1::Job job = server.Follow(name, &events);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().cost().failed_attempts(), 1);
  int failed_attempts = 0;
  for (const v1::JobEvent& event : events) failed_attempts += event.has_attempt_failed() ? 1 : 0;
  EXPECT_EQ(failed_attempts, 1);
  EXPECT_NE(server.WorkerProcessIds(), workers);

  // Not one bit of the result differs from an undisturbed run.
  ServerProcess other({});
  EXPECT_EQ(other.Run(SlowSpec(sweep)).report().result().SerializeAsString(),
            job.report().result().SerializeAsString());
}

TEST(Lifecycle, AServerKilledInAJobGoesOnWhereItWas) {
  const TinySweep sweep(40);
  TemporaryFolder data;
  std::string name;
  std::vector<v1::JobEvent> events;
  {
    ServerProcess server({.data_folder = data / "d"});
    name = Create(server, SlowSpec(sweep));
    WaitUntilEvaluating(server, name);
    events = WatchUntil(server, name,
                        [](const v1::JobEvent& event) { return event.has_blend_measured(); });
    server.Kill();
  }
  ASSERT_FALSE(events.empty());
  ServerProcess server({.data_folder = data / "d"});
  const v1::Job job = server.Follow(name, &events);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  std::set<std::vector<std::string>> measured;
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i + 1)) << "every event exactly once";
    if (!events[i].has_blend_measured()) continue;
    const auto& names = events[i].blend_measured().ingredients();
    EXPECT_TRUE(measured.insert({names.begin(), names.end()}).second) << "measured twice";
  }
  EXPECT_EQ(events.back().state_changed().state(), v1::Job::SUCCEEDED);
  ServerProcess other({});
  EXPECT_EQ(other.Run(SlowSpec(sweep)).report().result().SerializeAsString(),
            job.report().result().SerializeAsString());
}

TEST(Lifecycle, ACancelledJobEndsWithinABatchAndKeepsWhatWasMeasured) {
  const TinySweep sweep(100000);
  ServerProcess server({});
  const std::string name = Create(server, SlowSpec(sweep));
  WaitUntilEvaluating(server, name);
  grpc::ClientContext context;
  v1::CancelJobRequest request;
  request.set_name(name);
  v1::Job job;
  ASSERT_TRUE(server.stub().CancelJob(&context, request, &job).ok());
  job = server.Follow(name);
  EXPECT_EQ(job.state(), v1::Job::CANCELLED);
  EXPECT_EQ(job.report().result().ingredients_size(), 3);
  // The worker is free again at once.
  EXPECT_EQ(server.Run(TinySweep().Spec()).state(), v1::Job::SUCCEEDED);
}

TEST(Lifecycle, SigtermEndsTheServerCleanlyAndItsWorkersWithIt) {
  ServerProcess server({.workers = 2});
  const std::vector<pid_t> workers = server.WorkerProcessIds();
  EXPECT_EQ(server.Terminate(), 0);
  for (const pid_t worker : workers) EXPECT_NE(kill(worker, 0), 0) << "a worker outlived it";
}

// Whoever watched is told that the server stops; then it waits for the task that runs.
void WaitUntilDraining(ServerProcess& server, const std::string& name) {
  grpc::ClientContext context;
  v1::WatchJobRequest request;
  request.set_name(name);
  auto reader = server.stub().WatchJob(&context, request);
  kill(server.process_id(), SIGTERM);
  v1::JobEvent event;
  while (reader->Read(&event)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
}

TEST(Lifecycle, ASecondSigtermLeavesAtOnceAndLosesNothing) {
  const TinySweep sweep(40);
  TemporaryFolder data;
  std::string name;
  std::vector<v1::JobEvent> events;
  {
    ServerProcess server({.data_folder = data / "d", .flags = {"--drain_timeout=10m"}});
    name = Create(server, SlowSpec(sweep));
    WaitUntilEvaluating(server, name);
    events = WatchUntil(server, name,
                        [](const v1::JobEvent& event) { return event.has_blend_measured(); });
    WaitUntilDraining(server, name);
    EXPECT_EQ(server.Terminate(), 128 + SIGTERM);
  }
  ASSERT_FALSE(events.empty());
  ServerProcess server({.data_folder = data / "d"});
  const v1::Job job = server.Follow(name, &events);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  for (size_t i = 0; i < events.size(); ++i) {
    EXPECT_EQ(events[i].sequence(), static_cast<int64_t>(i + 1)) << "every event exactly once";
  }
  ServerProcess other({});
  EXPECT_EQ(other.Run(SlowSpec(sweep)).report().result().SerializeAsString(),
            job.report().result().SerializeAsString());
}

// A server with that flag is told to end in the middle of a job's task. The job's name.
std::string LeaveWhileEvaluating(const TemporaryFolder& data, const TinySweep& sweep,
                                 const std::string& flag) {
  ServerProcess server({.data_folder = data / "d", .flags = {flag}, .log_file = data / "log"});
  std::string name = Create(server, SlowSpec(sweep));
  WaitUntilEvaluating(server, name);
  EXPECT_EQ(server.Terminate(), 0);
  return name;
}

TEST(Lifecycle, ADrainWaitsForTheTaskThatRunsAndKeepsItsResult) {
  const TinySweep sweep(40, 2);
  const TemporaryFolder data;
  const std::string name = LeaveWhileEvaluating(data, sweep, "--drain_timeout=2m");
  const std::vector<std::string> given = KeysOfTasksGiven(ReadServerLog(data / "log"));
  ASSERT_FALSE(given.empty());
  ServerProcess server({.data_folder = data / "d", .log_file = data / "log"});
  const v1::Job job = server.Follow(name);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().cost().failed_attempts(), 0);
  const std::vector<std::string> all = KeysOfTasksGiven(ReadServerLog(data / "log"));
  // As a candidate and as the uniform soup it may have been given to the first server twice.
  EXPECT_EQ(std::count(all.begin(), all.end(), given.back()),
            std::count(given.begin(), given.end(), given.back()))
      << "the task that ran at SIGTERM was finished by the first server";
}

TEST(Lifecycle, ATaskThatOutlastsTheDrainIsHandedBackAndCostsNoAttempt) {
  const TinySweep sweep(400, 2);
  const TemporaryFolder data;
  const std::string name = LeaveWhileEvaluating(data, sweep, "--drain_timeout=1ms");
  const std::vector<std::string> handed_back = KeysOfTasksCutShort(ReadServerLog(data / "log"));
  if (handed_back.empty()) GTEST_SKIP() << "what ran ended at the same moment";
  ServerProcess server({.data_folder = data / "d", .log_file = data / "log"});
  std::vector<v1::JobEvent> events;
  const v1::Job job = server.Follow(name, &events);
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
  EXPECT_EQ(job.report().cost().failed_attempts(), 0);
  for (const v1::JobEvent& event : events) EXPECT_FALSE(event.has_attempt_failed());
  const std::vector<std::string> all = KeysOfTasksGiven(ReadServerLog(data / "log"));
  // One that was given on speculation may no longer be wanted.
  EXPECT_TRUE(std::any_of(handed_back.begin(), handed_back.end(), [&](const std::string& key) {
    return std::count(all.begin(), all.end(), key) == 2;
  }));
}

TEST(Lifecycle, WhatFailsWithItsBatchIsMeasuredOnceMoreWithHalfOfIt) {
  const TinySweep sweep;
  ServerProcess server({});
  // One takes memory that there is not, the other throws, both for more than two examples at once.
  for (const char* model : {"out_of_memory.pt", "throws_above_two.pt"}) {
    SCOPED_TRACE(model);
    v1::JobSpec spec = sweep.Spec(model);
    spec.mutable_compute()->set_batch_size(4);
    const v1::Job job = server.Run(spec);
    ASSERT_EQ(job.state(), v1::Job::SUCCEEDED) << job.error().message();
    const auto& ingredients = job.report().result().ingredients();
    for (const auto& ingredient : ingredients) {
      ASSERT_EQ(ingredient.scores_size(), 1);
      EXPECT_EQ(ingredient.scores(0).score().batch_size(), 2) << "the score says so";
    }
    spec.mutable_compute()->set_batch_size(6);
    const v1::Job too_large = server.Run(spec);
    EXPECT_EQ(too_large.state(), v1::Job::FAILED) << "half is still too much: once is enough";
  }
}

TEST(Lifecycle, MetricsTellOfJobsTasksAndCalls) {
  const std::string port = std::to_string(FreePort());
  ServerProcess server({.metrics_listen = "127.0.0.1:" + port});
  const v1::Job job = server.Run(TinySweep().Spec());
  ASSERT_EQ(job.state(), v1::Job::SUCCEEDED);
  int accepted = 0, dropped = 0;
  for (const v1::CandidateStep& step : job.report().result().steps()) {
    accepted += step.accepted() ? 1 : 0;
    dropped += step.has_not_better_than() ? 1 : 0;
  }
  const std::string metrics = HttpFetch(std::stoi(port), "/metrics");
  const std::string candidates = "stockpot_candidates_decided_total{decision=";
  EXPECT_THAT(metrics, HasSubstr(absl::StrCat(candidates, "\"accepted\"} ", accepted, "\n")));
  EXPECT_THAT(metrics, HasSubstr(absl::StrCat(candidates, "\"dropped\"} ", dropped, "\n")));
  // What the workers counted is what the report says.
  const v1::ReportCost& cost = job.report().cost();
  EXPECT_GT(cost.examples_evaluated(), 0);
  const int64_t stopped = cost.evaluations_stopped_early();
  for (const std::string& line :
       {absl::StrCat("stockpot_examples_evaluated_total ", cost.examples_evaluated(), "\n"),
        absl::StrCat("stockpot_examples_spared_total ", cost.examples_spared(), "\n"),
        absl::StrCat("stockpot_evaluations_total{extent=\"stopped_early\"} ", stopped, "\n"),
        absl::StrCat("stockpot_evaluations_total{extent=\"full\"} ",
                     cost.evaluations_run() - stopped, "\n"),
        std::string("stockpot_cache_misses_total{cache=\"checkpoints\"} 3\n")}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
  for (const char* line : {"stockpot_jobs_ended_total{state=\"succeeded\"} 1\n",
                           "stockpot_tasks_ended_total{kind=\"write_soup\",outcome=\"ok\"} 1\n",
                           "stockpot_workers{place=\"local\",state=\"idle\"} 1\n"}) {
    EXPECT_THAT(metrics, HasSubstr(line));
  }
  EXPECT_THAT(metrics, HasSubstr("grpc_method=\"CreateJob\""));
}

class CommandLine : public testing::Test {
 protected:
  std::vector<std::string> Submit(const std::string& out, const std::string& ingredients) {
    return {ProgramPath("stockpot"),
            "--server",
            server_.address(),
            "submit",
            "--architecture",
            sweep_ / "models/linear.pt",
            "--ingredients",
            ingredients,
            "--held-out",
            sweep_ / "data.safetensors",
            "--report-set",
            "again=" + sweep_ / "data.safetensors",
            "--watch",
            "--out",
            out};
  }
  TinySweep sweep_;
  ServerProcess server_{ServerProcess::Options{}};
};

TEST_F(CommandLine, SubmitsWatchesDownloadsAndShowsTheTable) {
  TemporaryFolder out;
  const ProgramResult result = RunProgram(Submit(out.path(), sweep_ / "good_*.safetensors"));
  EXPECT_EQ(result.exit_code, 0) << result.output;
  EXPECT_THAT(result.output, HasSubstr("100.00"));
  EXPECT_THAT(result.output, HasSubstr("soup.safetensors"));
  for (const char* file : {"soup.safetensors", "report.json", "manifest.json"}) {
    EXPECT_TRUE(std::filesystem::exists(out / file)) << file;
  }
  const ProgramResult list = RunProgram(
      {ProgramPath("stockpot"), "--server", server_.address(), "list", "--state", "SUCCEEDED"});
  EXPECT_EQ(list.exit_code, 0);
  EXPECT_THAT(list.output, HasSubstr("SUCCEEDED"));
  const ProgramResult inspect = RunProgram({ProgramPath("stockpot"), "--server", server_.address(),
                                            "inspect", sweep_ / "good_0.safetensors"});
  EXPECT_EQ(inspect.exit_code, 0) << inspect.output;
  EXPECT_THAT(inspect.output, HasSubstr("weight"));
}

TEST_F(CommandLine, VerifyMakesTheSoupAgainAndTellsItFromAnother) {
  TemporaryFolder out;
  const ProgramResult made = RunProgram(Submit(out.path(), sweep_ / "good_*.safetensors"));
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const auto verify = [&](const std::string& what) {
    return RunProgram({ProgramPath("stockpot"), "--server", server_.address(), "verify", what});
  };
  const std::string job = made.output.substr(0, made.output.find('\n'));
  for (const std::string& what : {job, out / "manifest.json"}) {
    const ProgramResult result = verify(what);
    EXPECT_EQ(result.exit_code, 0) << result.output;
    EXPECT_THAT(result.output, HasSubstr("soup.safetensors: identical")) << what;
  }
  // An ingredient that holds other weights now is named.
  for (int i = 0; i < 3; ++i) {
    const std::string path = sweep_ / ("good_" + std::to_string(i) + ".safetensors");
    std::filesystem::remove(path);
    WriteSafetensors(path, TinySweep::Checkpoint(std::vector<float>(12, 0.5f), {3, 4}));
  }
  const ProgramResult changed = verify(job);
  EXPECT_EQ(changed.exit_code, 2);
  EXPECT_THAT(changed.output, HasSubstr("CHECKPOINT_CHANGED"));
}

TEST_F(CommandLine, ExitCodesTellScriptsWhatHappened) {
  TemporaryFolder out;
  WriteSafetensors(sweep_ / "bad_0.safetensors",
                   TinySweep::Checkpoint(std::vector<float>(12, 1.0f), {4, 3}));
  const ProgramResult failed = RunProgram(Submit(out.path(), sweep_ / "bad_*.safetensors"));
  EXPECT_EQ(failed.exit_code, 1) << failed.output;
  EXPECT_THAT(failed.output, HasSubstr("tensor 'weight'"));
  EXPECT_EQ(RunProgram(Submit(out.path(), sweep_ / "none_*")).exit_code, 2);
  const std::string address = server_.address();
  server_.Terminate();
  EXPECT_EQ(RunProgram({ProgramPath("stockpot"), "--server", address, "list"}).exit_code, 4);
}

}  // namespace
}  // namespace stockpot
