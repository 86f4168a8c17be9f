// This process, under the names that every Prometheus client library has, read from /proc when
// Prometheus asks; what cannot be read is left out.
//
//   process_start_time_seconds        gauge
//   process_cpu_seconds_total         counter  in user and system mode
//   process_resident_memory_bytes     gauge
//   process_virtual_memory_bytes      gauge
//   process_open_fds, process_max_fds gauge
//   process_threads                   gauge
//
// Sources: https://prometheus.io/docs/instrumenting/writing_clientlibs/#process-metrics; proc(5).
// Thread safety: immutable.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_PROCESS_METRICS_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_PROCESS_METRICS_H_

#include <prometheus/collectable.h>

#include <vector>

#include "absl/time/time.h"

namespace stockpot {

class ProcessMetrics final : public prometheus::Collectable {
 public:
  explicit ProcessMetrics(absl::Time start) : start_(start) {}

  std::vector<prometheus::MetricFamily> Collect() const override;

 private:
  const absl::Time start_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_PROCESS_METRICS_H_
