#include "server/control/metrics/metrics_server.h"

#include <netdb.h>
#include <prometheus/exposer.h>
#include <sys/socket.h>
#include <unistd.h>

#include <exception>
#include <thread>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/synchronization/notification.h"

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

// The HOST of HOST:PORT, without an IPv6 address' brackets.
std::string HostOf(absl::string_view listen) {
  const size_t colon = listen.rfind(':');
  if (colon == absl::string_view::npos) return "127.0.0.1";
  return std::string(absl::StripSuffix(absl::StripPrefix(listen.substr(0, colon), "["), "]"));
}

// Begins a connection and lets go of it.
void Knock(const std::string& host, int port) {
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* addresses = nullptr;
  if (getaddrinfo(host.c_str(), absl::StrCat(port).c_str(), &hints, &addresses) != 0) return;
  const int handle =
      socket(addresses->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
  if (handle >= 0) {
    (void)!connect(handle, addresses->ai_addr, addresses->ai_addrlen);
    close(handle);
  }
  freeaddrinfo(addresses);
}

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(const std::string& listen,
                                                                    const ServerMetrics& metrics) {
  std::unique_ptr<MetricsServer> server;
  const absl::Status status = Guard([&] {
    auto exposer = std::make_unique<prometheus::Exposer>(listen);
    exposer->RegisterCollectable(metrics.all());
    server.reset(new MetricsServer(std::move(exposer), HostOf(listen)));
  });
  if (!status.ok()) {
    return absl::UnavailableError(absl::StrCat("cannot serve metrics on ", listen,
                                               " (is the port taken?): ", status.message(),
                                               "; choose another address with --metrics_listen"));
  }
  return server;
}

MetricsServer::MetricsServer(std::unique_ptr<prometheus::Exposer> exposer, std::string host)
    : exposer_(std::move(exposer)),
      host_(std::move(host)),
      port_(exposer_->GetListeningPorts().front()) {}

MetricsServer::~MetricsServer() {
  // civetweb looks whether it is to stop when somebody connects, else every two seconds.
  absl::Notification stopped;
  std::thread stopping([&] {
    exposer_.reset();
    stopped.Notify();
  });
  while (!stopped.WaitForNotificationWithTimeout(absl::Milliseconds(10))) Knock(host_, port_);
  stopping.join();
}

}  // namespace stockpot
