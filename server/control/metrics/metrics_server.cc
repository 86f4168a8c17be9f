#include "server/control/metrics/metrics_server.h"

#include <prometheus/exposer.h>
#include <prometheus/registry.h>

#include <exception>
#include <utility>

#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

// The one place where civetweb's exceptions end.
template <typename Function>
absl::Status Guard(Function function) {
  try {
    function();
    return absl::OkStatus();
  } catch (const std::exception& exception) {
    return absl::UnavailableError(exception.what());
  }
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                                    const Metrics& metrics) {
  std::unique_ptr<MetricsServer> server;
  const absl::Status status = Guard([&] {
    auto exposer = std::make_unique<prometheus::Exposer>(listen);
    exposer->RegisterCollectable(metrics.registry());
    server.reset(new MetricsServer(std::move(exposer)));
  });
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", listen,
                                               " (is the port taken?): ", status.message(),
                                               "; choose another address with --metrics_listen"));
  }
  return server;
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer)
    : exposer_(std::move(exposer)), port_(exposer_->GetListeningPorts().front()) {}

MetricsServer::~MetricsServer() = default;

}  // namespace stockpot
