// control/metrics: what operators see at /metrics. This header: the names and what they count,
// after https://prometheus.io/docs/practices/naming and grpc-prometheus. Label values come from
// closed lists: no job, URI or client is ever one.
//
//   stockpot_jobs{state}                        gauge    unfinished: queued, running, suspended
//   stockpot_oldest_queued_job_age_seconds      gauge    0 where none is queued
//   stockpot_jobs_ended_total{state}            counter  succeeded, failed, cancelled
//   stockpot_tasks_ended_total{kind,outcome}    counter  ok, failed, lost, cancelled
//   stockpot_task_duration_seconds{kind}        histogram
//   stockpot_evaluations_total{extent}          counter  full, stopped_early
//   stockpot_examples_spared_total              counter  that early stopping made needless
//   stockpot_candidates_decided_total{decision} counter  accepted, rejected, dropped, passed_over
//   stockpot_workers{place,state}               gauge    local, remote; idle, busy
//   stockpot_build_info{version}                gauge    always 1
//   grpc_server_started_total{grpc_type,grpc_service,grpc_method}            counter
//   grpc_server_handled_total{grpc_type,grpc_service,grpc_method,grpc_code}  counter
//   grpc_server_handling_seconds{grpc_type,grpc_service,grpc_method}         histogram
//
// And those of work_metrics.h, folder_metrics.h and process_metrics.h.
//
// prometheus-cpp stays behind this header. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"
#include "server/control/metrics/measured_folders.h"
#include "server/control/metrics/work_metrics.h"

namespace prometheus {
class Collectable;
class Registry;
}  // namespace prometheus

namespace stockpot {

class ServerMetrics {
 public:
  ServerMetrics(const std::string& version, absl::Time process_start, MeasuredFolders folders = {});
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  void SetJobs(int queued, int running, int suspended, absl::Duration oldest_queued);
  void CountJobEnded(const std::string& state);
  void CountTaskEnded(const std::string& kind, const std::string& outcome, double seconds);
  void CountEvaluation(int64_t examples_spared);
  void CountCandidate(const std::string& decision);
  // `place`: "local", "remote".
  void SetWorkers(const std::string& place, int connected, int busy);

  struct Call {
    std::string type, service, method;
  };
  void CountCallStarted(const Call& call);
  void CountCallEnded(const Call& call, const std::string& code, double seconds);

  WorkMetrics& work() { return work_; }

  // In the Prometheus text format.
  std::string Text() const;

  // All of them, to be asked anew each time.
  std::shared_ptr<prometheus::Collectable> all() const { return all_; }

 private:
  struct Families;
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;  // constant; the families are thread-safe themselves
  WorkMetrics work_;
  const std::shared_ptr<prometheus::Collectable> all_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_
