#include "server/control/rpc/server.h"

#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/tls_certificate_provider.h>
#include <grpcpp/security/tls_credentials_options.h>

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/base/status.h"
#include "server/control/rpc/call_interceptor.h"

namespace stockpot {
namespace {

// Facts carry a bit and four bytes per example: 40 million examples fit.
constexpr int kMaxWorkerMessageBytes = 256 << 20;
constexpr int kMaxStreamsPerConnection = 1000;
constexpr int kMinPingIntervalMs = 10'000;
constexpr int kKeepaliveMs = 60'000;
// A worker's machine has one connection with one stream; some more while it dials again.
constexpr int kMaxWorkerStreamsPerConnection = 16;
// Workers ask every 10 s, as we do them.
constexpr int kMinWorkerPingIntervalMs = 5'000;

// Health and reflection are switched on for the whole process, before the first server is built.
void EnablePlugins() {
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
}

std::shared_ptr<grpc::ServerCredentials> CredentialsOf(const CertificateFiles& files,
                                                       absl::Duration look_again) {
  if (files.empty()) return grpc::InsecureServerCredentials();
  namespace tls = grpc::experimental;
  tls::TlsServerCredentialsOptions options(std::make_shared<tls::FileWatcherCertificateProvider>(
      files.key, files.certificate, files.client_ca,
      static_cast<unsigned>(absl::ToInt64Seconds(look_again))));
  options.watch_identity_key_cert_pairs();
  if (!files.client_ca.empty()) {
    options.watch_root_certs();
    options.set_cert_request_type(files.client_certificate_optional
                                      ? GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY
                                      : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  }
  return tls::TlsServerCredentials(options);
}

std::string HostOf(absl::string_view address) {
  const size_t colon = address.rfind(':');
  return std::string(address.substr(0, colon));
}

absl::Status CheckListen(const std::string& listen) {
  if (absl::StrContains(listen, ':')) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("'", listen, "' is not HOST:PORT"));
}

absl::Status PortTaken(absl::string_view flag, const std::string& listen) {
  return absl::UnavailableError(
      absl::StrCat("cannot listen on ", listen,
                   ": the port is taken or the address is not this machine's; choose another with ",
                   flag, " (port 0 takes a free one)"));
}

// `port` is known once the server is started.
void Listen(const std::string& address, const std::shared_ptr<grpc::ServerCredentials>& credentials,
            grpc::ServerBuilder* builder, int* port) {
  builder->AddListeningPort(address, credentials, port);
  // Otherwise a second server would share the port in silence.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

void Intercept(grpc::ServerBuilder* builder, std::unique_ptr<CallInterceptorFactory> factory) {
  std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>> factories;
  factories.push_back(std::move(factory));
  builder->experimental().SetInterceptorCreators(std::move(factories));
}

void StopServer(std::unique_ptr<grpc::Server>* server, absl::Duration grace) {
  if (*server == nullptr) return;
  (*server)->Shutdown(absl::ToChronoTime(absl::Now() + grace));
  server->reset();
}

void SetHealth(grpc::Server* server, bool serving) {
  grpc::HealthCheckServiceInterface* health = server->GetHealthCheckService();
  if (health != nullptr) health->SetServingStatus(serving);
}

}  // namespace

bool IsLoopbackAddress(absl::string_view address) {
  if (absl::StartsWith(address, "unix:")) return true;
  const std::string host = HostOf(address);
  // Digits and dots only, so that "127.example.org" is a name like any other.
  const bool is_number = host.find_first_not_of("0123456789.") == std::string::npos;
  return host == "localhost" || host == "[::1]" || (is_number && absl::StartsWith(host, "127."));
}

absl::StatusOr<std::unique_ptr<PublicServer>> PublicServer::Start(const Options& options,
                                                                  SoupService* service,
                                                                  CallObserver* observer) {
  RETURN_IF_ERROR(CheckListen(options.listen));
  EnablePlugins();
  grpc::ServerBuilder builder;
  int port = 0;
  Listen(options.listen, CredentialsOf(options.tls, options.look_at_certificates), &builder, &port);
  builder.RegisterService(service);
  // What is a little too large is refused by the service, with details.
  builder.SetMaxReceiveMessageSize(
      static_cast<int>(std::min<int64_t>(int64_t{2} * options.max_message_bytes, INT32_MAX)));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  Intercept(&builder,
            std::make_unique<CallInterceptorFactory>(observer, &service->authorization()));
  std::unique_ptr<PublicServer> server(new PublicServer(service, options.tick));
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) return PortTaken("--listen", options.listen);
  server->address_ = absl::StartsWith(options.listen, "unix:")
                         ? options.listen
                         : absl::StrCat(HostOf(options.listen), ":", port);
  server->SetServing(false);
  server->ticker_ = std::thread([raw = server.get()] { raw->TickUntilStopped(); });
  return server;
}

PublicServer::~PublicServer() { Stop(absl::ZeroDuration()); }

void PublicServer::SetServing(bool serving) { SetHealth(server_.get(), serving); }

void PublicServer::TickUntilStopped() {
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_), tick_)) service_->Tick();
}

void PublicServer::Stop(absl::Duration grace) {
  if (server_ == nullptr) return;
  SetServing(false);
  service_->EndStreams();
  StopServer(&server_, grace);
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  if (ticker_.joinable()) ticker_.join();
}

absl::StatusOr<std::unique_ptr<HealthServer>> HealthServer::Start(const std::string& listen) {
  EnablePlugins();
  grpc::ServerBuilder builder;
  int port = 0;
  Listen(listen, grpc::InsecureServerCredentials(), &builder, &port);
  std::unique_ptr<HealthServer> server(new HealthServer);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) {
    return absl::UnavailableError(absl::StrCat("cannot listen on --health_listen=", listen));
  }
  server->address_ = absl::StrCat(HostOf(listen), ":", port);
  server->SetServing(false);
  return server;
}

HealthServer::~HealthServer() { StopServer(&server_, absl::ZeroDuration()); }

void HealthServer::SetServing(bool serving) { SetHealth(server_.get(), serving); }

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::Start(const std::string& socket,
                                                                  WorkerService* service) {
  EnablePlugins();
  grpc::ServerBuilder builder;
  builder.AddListeningPort(absl::StrCat("unix:", socket), grpc::InsecureServerCredentials());
  builder.RegisterService(service);
  builder.SetMaxReceiveMessageSize(kMaxWorkerMessageBytes);
  builder.SetMaxSendMessageSize(kMaxWorkerMessageBytes);
  std::unique_ptr<WorkerServer> server(new WorkerServer);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("cannot listen for workers on ", socket));
  }
  return server;
}

absl::StatusOr<std::unique_ptr<WorkerServer>> WorkerServer::StartRemote(
    const RemoteOptions& options, WorkerService* service, Authorization* authorization,
    CallObserver* observer) {
  RETURN_IF_ERROR(CheckListen(options.listen));
  EnablePlugins();
  grpc::ServerBuilder builder;
  int port = 0;
  Listen(options.listen, CredentialsOf(options.tls, options.look_at_certificates), &builder, &port);
  builder.RegisterService(service);
  builder.SetOption(std::make_unique<grpc::HealthCheckServiceServerBuilderOption>(nullptr));
  builder.SetMaxReceiveMessageSize(kMaxWorkerMessageBytes);
  builder.SetMaxSendMessageSize(kMaxWorkerMessageBytes);
  const int keepalive_ms = static_cast<int>(absl::ToInt64Milliseconds(options.keepalive));
  builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxWorkerStreamsPerConnection);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                             kMinWorkerPingIntervalMs);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, keepalive_ms);
  builder.AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);  // no limit
  Intercept(&builder, std::make_unique<CallInterceptorFactory>(observer, authorization,
                                                               /*has_reflection=*/false));
  std::unique_ptr<WorkerServer> server(new WorkerServer);
  server->server_ = builder.BuildAndStart();
  if (server->server_ == nullptr || port == 0) return PortTaken("--worker_listen", options.listen);
  server->address_ = absl::StrCat(HostOf(options.listen), ":", port);
  return server;
}

WorkerServer::~WorkerServer() { Stop(absl::ZeroDuration()); }

void WorkerServer::Stop(absl::Duration grace) { StopServer(&server_, grace); }

}  // namespace stockpot
