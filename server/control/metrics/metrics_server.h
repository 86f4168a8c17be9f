// Serves ServerMetrics over HTTP at /metrics (civetweb, behind prometheus-cpp's Exposer).
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_CONTROL_METRICS_METRICS_SERVER_H_
#define STOCKPOT_SERVER_CONTROL_METRICS_METRICS_SERVER_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "server/control/metrics/metrics.h"

namespace prometheus {
class Exposer;
}  // namespace prometheus

namespace stockpot {

class MetricsServer {
 public:
  // `listen`: HOST:PORT, port 0 takes a free one. `metrics` must outlive the server.
  // Errors: UNAVAILABLE, the address cannot be had.
  static absl::StatusOr<std::unique_ptr<MetricsServer>> Start(const std::string& listen,
                                                              const ServerMetrics& metrics);
  ~MetricsServer();

  int port() const { return port_; }

 private:
  MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string host);

  std::unique_ptr<prometheus::Exposer> exposer_;
  const std::string host_;
  int port_ = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_METRICS_METRICS_SERVER_H_
