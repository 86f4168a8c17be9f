// control/metrics: what operators see at /metrics. This header: the names and what they count,
// after https://prometheus.io/docs/practices/naming and grpc-prometheus. Label values come from
// closed lists: no job, URI or client is ever one.
//
//   stockpot_jobs{state}                             gauge      unfinished jobs: queued, running
//   stockpot_jobs_ended_total{state}                 counter    succeeded, failed, cancelled
//   stockpot_tasks_ended_total{kind,outcome}         counter    ok, failed, lost, cancelled
//   stockpot_task_duration_seconds{kind}             histogram
//   stockpot_examples_evaluated_total                counter
//   stockpot_workers{state}                          gauge      idle, busy
//   stockpot_build_info{version}                     gauge      always 1
//   process_start_time_seconds                       gauge
//   grpc_server_started_total{grpc_type,grpc_service,grpc_method}              counter
//   grpc_server_handled_total{grpc_type,grpc_service,grpc_method,grpc_code}    counter
//   grpc_server_handling_seconds{grpc_type,grpc_service,grpc_method}           histogram
//
// prometheus-cpp stays behind this header. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace prometheus {
class Registry;
}  // namespace prometheus

namespace stockpot {

class ServerMetrics {
 public:
  ServerMetrics(const std::string& version, absl::Time process_start);
  ~ServerMetrics();
  ServerMetrics(const ServerMetrics&) = delete;
  ServerMetrics& operator=(const ServerMetrics&) = delete;

  void SetJobs(int queued, int running);
  void CountJobEnded(const std::string& state);
  void CountTaskEnded(const std::string& kind, const std::string& outcome, double seconds);
  void CountExamples(int64_t count);
  void SetWorkers(int connected, int busy);

  struct Call {
    std::string type, service, method;
  };
  void CountCallStarted(const Call& call);
  void CountCallEnded(const Call& call, const std::string& code, double seconds);

  // In the Prometheus text format.
  std::string Text() const;

  std::shared_ptr<prometheus::Registry> registry() const { return registry_; }

 private:
  struct Families;
  const std::shared_ptr<prometheus::Registry> registry_;
  const std::unique_ptr<Families> families_;  // constant; the families are thread-safe themselves
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_METRICS_H_
