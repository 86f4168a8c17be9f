// Families of gauges that are made when they are asked for, in one line each. Internal to metrics/.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_GAUGE_FAMILY_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_GAUGE_FAMILY_H_

#include <prometheus/metric_family.h>

#include <string>
#include <utility>
#include <vector>

namespace stockpot {

inline prometheus::MetricFamily GaugeFamily(std::string name, std::string help) {
  prometheus::MetricFamily family;
  family.name = std::move(name);
  family.help = std::move(help);
  family.type = prometheus::MetricType::Gauge;
  return family;
}

inline void AddGauge(prometheus::MetricFamily* family, double value,
                     const std::vector<std::pair<std::string, std::string>>& labels = {}) {
  prometheus::ClientMetric metric;
  metric.gauge.value = value;
  for (const auto& [name, text] : labels) metric.label.push_back({name, text});
  family->metric.push_back(std::move(metric));
}

inline prometheus::MetricFamily OneGauge(std::string name, std::string help, double value) {
  prometheus::MetricFamily family = GaugeFamily(std::move(name), std::move(help));
  AddGauge(&family, value);
  return family;
}

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_GAUGE_FAMILY_H_
