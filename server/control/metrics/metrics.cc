#include "server/control/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>

#include "absl/strings/ascii.h"

namespace stockpot {
namespace {

using prometheus::Counter;
using prometheus::Family;
using prometheus::Gauge;
using prometheus::Histogram;

const Histogram::BucketBoundaries& CallBuckets() {
  static const auto* const buckets = new Histogram::BucketBoundaries{
      0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60, 600};
  return *buckets;
}

// Inspections take milliseconds, measures seconds to an hour.
const Histogram::BucketBoundaries& TaskBuckets() {
  static const auto* const buckets = new Histogram::BucketBoundaries{
      0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 60, 120, 300, 600, 1200, 3600};
  return *buckets;
}

prometheus::Labels CallLabels(const ServerMetrics::Call& call) {
  return {{"grpc_type", call.type}, {"grpc_service", call.service}, {"grpc_method", call.method}};
}

}  // namespace

struct ServerMetrics::Families {
  explicit Families(prometheus::Registry& registry)
      : jobs(prometheus::BuildGauge()
                 .Name("stockpot_jobs")
                 .Help("Unfinished jobs by state.")
                 .Register(registry)),
        jobs_ended(prometheus::BuildCounter()
                       .Name("stockpot_jobs_ended_total")
                       .Help("Jobs that ended, by how.")
                       .Register(registry)),
        tasks_ended(prometheus::BuildCounter()
                        .Name("stockpot_tasks_ended_total")
                        .Help("Attempts of tasks that ended, by kind and how.")
                        .Register(registry)),
        task_seconds(prometheus::BuildHistogram()
                         .Name("stockpot_task_duration_seconds")
                         .Help("Time a worker took for a task.")
                         .Register(registry)),
        examples(prometheus::BuildCounter()
                     .Name("stockpot_examples_evaluated_total")
                     .Help("Examples run through models.")
                     .Register(registry)
                     .Add({})),
        workers(prometheus::BuildGauge()
                    .Name("stockpot_workers")
                    .Help("Connected workers by state.")
                    .Register(registry)),
        build_info(prometheus::BuildGauge()
                       .Name("stockpot_build_info")
                       .Help("Always 1; its labels say what runs.")
                       .Register(registry)),
        start_time(prometheus::BuildGauge()
                       .Name("process_start_time_seconds")
                       .Help("Start of the process, in seconds since the Unix epoch.")
                       .Register(registry)
                       .Add({})),
        calls_started(prometheus::BuildCounter()
                          .Name("grpc_server_started_total")
                          .Help("Calls that began.")
                          .Register(registry)),
        calls_handled(prometheus::BuildCounter()
                          .Name("grpc_server_handled_total")
                          .Help("Calls that ended, by code.")
                          .Register(registry)),
        call_seconds(prometheus::BuildHistogram()
                         .Name("grpc_server_handling_seconds")
                         .Help("Time from a call's start to its end.")
                         .Register(registry)) {}

  Family<Gauge>& jobs;
  Family<Counter>& jobs_ended;
  Family<Counter>& tasks_ended;
  Family<Histogram>& task_seconds;
  Counter& examples;
  Family<Gauge>& workers;
  Family<Gauge>& build_info;
  Gauge& start_time;
  Family<Counter>& calls_started;
  Family<Counter>& calls_handled;
  Family<Histogram>& call_seconds;
};

ServerMetrics::ServerMetrics(const std::string& version, absl::Time process_start)
    : registry_(std::make_shared<prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)) {
  families_->build_info.Add({{"version", version}}).Set(1);
  families_->start_time.Set(static_cast<double>(absl::ToUnixMillis(process_start)) / 1000.0);
  // A rate needs the zero before the first one.
  for (const char* state : {"succeeded", "failed", "cancelled"}) {
    families_->jobs_ended.Add({{"state", state}});
  }
  SetJobs(0, 0);
  SetWorkers(0, 0);
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::SetJobs(int queued, int running) {
  families_->jobs.Add({{"state", "queued"}}).Set(queued);
  families_->jobs.Add({{"state", "running"}}).Set(running);
}

void ServerMetrics::CountJobEnded(const std::string& state) {
  families_->jobs_ended.Add({{"state", absl::AsciiStrToLower(state)}}).Increment();
}

void ServerMetrics::CountTaskEnded(const std::string& kind, const std::string& outcome,
                                   double seconds) {
  families_->tasks_ended.Add({{"kind", kind}, {"outcome", outcome}}).Increment();
  families_->task_seconds.Add({{"kind", kind}}, TaskBuckets()).Observe(seconds);
}

void ServerMetrics::CountExamples(int64_t count) {
  families_->examples.Increment(static_cast<double>(std::max<int64_t>(count, 0)));
}

void ServerMetrics::SetWorkers(int connected, int busy) {
  families_->workers.Add({{"state", "idle"}}).Set(connected - busy);
  families_->workers.Add({{"state", "busy"}}).Set(busy);
}

void ServerMetrics::CountCallStarted(const Call& call) {
  families_->calls_started.Add(CallLabels(call)).Increment();
}

void ServerMetrics::CountCallEnded(const Call& call, const std::string& code, double seconds) {
  prometheus::Labels labels = CallLabels(call);
  families_->call_seconds.Add(labels, CallBuckets()).Observe(seconds);
  labels["grpc_code"] = code;
  families_->calls_handled.Add(labels).Increment();
}

std::string ServerMetrics::Text() const {
  return prometheus::TextSerializer().Serialize(registry_->Collect());
}

}  // namespace stockpot
