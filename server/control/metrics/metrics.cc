#include "server/control/metrics/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/gauge.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "server/control/metrics/folder_metrics.h"
#include "server/control/metrics/process_metrics.h"

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

constexpr char kFull[] = "full";
constexpr char kStoppedEarly[] = "stopped_early";

// What is counted, and what is looked up when somebody asks.
class AllMetrics final : public prometheus::Collectable {
 public:
  AllMetrics(std::shared_ptr<prometheus::Registry> registry, absl::Time process_start,
             MeasuredFolders folders)
      : registry_(std::move(registry)), process_(process_start), folders_(std::move(folders)) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    std::vector<prometheus::MetricFamily> all = registry_->Collect();
    for (std::vector<prometheus::MetricFamily> more : {process_.Collect(), folders_.Collect()}) {
      std::move(more.begin(), more.end(), std::back_inserter(all));
    }
    return all;
  }

 private:
  const std::shared_ptr<prometheus::Registry> registry_;
  const ProcessMetrics process_;
  const FolderMetrics folders_;
};

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
        oldest_queued(prometheus::BuildGauge()
                          .Name("stockpot_oldest_queued_job_age_seconds")
                          .Help("How long the job that waits longest has waited.")
                          .Register(registry)
                          .Add({})),
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
        evaluations(prometheus::BuildCounter()
                        .Name("stockpot_evaluations_total")
                        .Help("Passes over data sets that gave their scores, by how far they went.")
                        .Register(registry)),
        examples_spared(prometheus::BuildCounter()
                            .Name("stockpot_examples_spared_total")
                            .Help("Examples that early stopping made needless.")
                            .Register(registry)
                            .Add({})),
        candidates(prometheus::BuildCounter()
                       .Name("stockpot_candidates_decided_total")
                       .Help("Candidates of greedy soups, by what was decided.")
                       .Register(registry)),
        workers(prometheus::BuildGauge()
                    .Name("stockpot_workers")
                    .Help("Connected workers by place and state.")
                    .Register(registry)),
        build_info(prometheus::BuildGauge()
                       .Name("stockpot_build_info")
                       .Help("Always 1; its labels say what runs.")
                       .Register(registry)),
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
  Gauge& oldest_queued;
  Family<Counter>& jobs_ended;
  Family<Counter>& tasks_ended;
  Family<Histogram>& task_seconds;
  Family<Counter>& evaluations;
  Counter& examples_spared;
  Family<Counter>& candidates;
  Family<Gauge>& workers;
  Family<Gauge>& build_info;
  Family<Counter>& calls_started;
  Family<Counter>& calls_handled;
  Family<Histogram>& call_seconds;
};

ServerMetrics::ServerMetrics(const std::string& version, absl::Time process_start,
                             MeasuredFolders folders)
    : registry_(std::make_shared<prometheus::Registry>()),
      families_(std::make_unique<Families>(*registry_)),
      work_(registry_.get()),
      all_(std::make_shared<AllMetrics>(registry_, process_start, std::move(folders))) {
  families_->build_info.Add({{"version", version}}).Set(1);
  // A rate needs the zero before the first one.
  for (const char* state : {"succeeded", "failed", "cancelled"}) {
    families_->jobs_ended.Add({{"state", state}});
  }
  for (const char* decision : {"accepted", "rejected", "dropped", "passed_over"}) {
    families_->candidates.Add({{"decision", decision}});
  }
  for (const char* extent : {kFull, kStoppedEarly}) {
    families_->evaluations.Add({{"extent", extent}});
  }
  SetJobs(0, 0, 0, absl::ZeroDuration());
  SetWorkers("local", 0, 0);
  SetWorkers("remote", 0, 0);
}

ServerMetrics::~ServerMetrics() = default;

void ServerMetrics::SetJobs(int queued, int running, int suspended, absl::Duration oldest_queued) {
  families_->oldest_queued.Set(absl::ToDoubleSeconds(oldest_queued));
  families_->jobs.Add({{"state", "queued"}}).Set(queued);
  families_->jobs.Add({{"state", "running"}}).Set(running);
  families_->jobs.Add({{"state", "suspended"}}).Set(suspended);
}

void ServerMetrics::CountJobEnded(const std::string& state) {
  families_->jobs_ended.Add({{"state", absl::AsciiStrToLower(state)}}).Increment();
}

void ServerMetrics::CountTaskEnded(const std::string& kind, const std::string& outcome,
                                   double seconds) {
  families_->tasks_ended.Add({{"kind", kind}, {"outcome", outcome}}).Increment();
  families_->task_seconds.Add({{"kind", kind}}, TaskBuckets()).Observe(seconds);
}

void ServerMetrics::CountEvaluation(int64_t examples_spared) {
  const char* const extent = examples_spared > 0 ? kStoppedEarly : kFull;
  families_->evaluations.Add({{"extent", extent}}).Increment();
  families_->examples_spared.Increment(static_cast<double>(std::max<int64_t>(examples_spared, 0)));
}

void ServerMetrics::CountCandidate(const std::string& decision) {
  families_->candidates.Add({{"decision", decision}}).Increment();
}

void ServerMetrics::SetWorkers(const std::string& place, int connected, int busy) {
  families_->workers.Add({{"place", place}, {"state", "idle"}}).Set(connected - busy);
  families_->workers.Add({{"place", place}, {"state", "busy"}}).Set(busy);
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
  return prometheus::TextSerializer().Serialize(all_->Collect());
}

}  // namespace stockpot
