#include "client/cli/connection.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "client/cli/verbose_calls.h"

namespace stockpot::cli {
namespace {

// A job with a thousand ingredients and a hundred report sets, each measured, stays below this.
constexpr int kMaxMessageBytes = 64 << 20;

std::unique_ptr<v1::SoupService::StubInterface> MakeStub(
    const std::string& server, const std::shared_ptr<grpc::ChannelCredentials>& credentials,
    std::ostream* verbose) {
  grpc::ChannelArguments arguments;
  // http_proxy is for the web: a server on this host or network is not reached through it.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  // gRPC's own default grows to two minutes; the client paces its attempts itself.
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, 2'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  return v1::SoupService::NewStub(grpc::experimental::CreateCustomChannelWithInterceptors(
      server, credentials, arguments, VerboseCalls(verbose)));
}

// What is one is for the server to say; what could not stand in metadata is not sent.
bool MayBeTraceparent(absl::string_view text) {
  constexpr size_t kMost = 256;
  return !text.empty() && text.size() <= kMost &&
         text.find_first_not_of("0123456789abcdef-") == absl::string_view::npos;
}

}  // namespace

Connection::Connection(Options options, Interruption& interruption)
    : options_(std::move(options)),
      interruption_(interruption),
      stub_(MakeStub(options_.server, options_.security.credentials, options_.verbose)) {}

void Connection::Introduce(grpc::ClientContext& context) const {
  if (!options_.client.empty()) context.AddMetadata("stockpot-client", options_.client);
  if (!options_.security.token.empty()) {
    context.AddMetadata("authorization", absl::StrCat("Bearer ", options_.security.token));
  }
  if (MayBeTraceparent(options_.traceparent)) {
    context.AddMetadata("traceparent", options_.traceparent);
  }
}

absl::StatusOr<v1::Job> Connection::GetJob(const std::string& name) {
  v1::GetJobRequest request;
  request.set_name(name);
  return Call(&v1::SoupService::StubInterface::GetJob, request);
}

absl::Status Connection::WithAddress(const absl::Status& status) const {
  std::string context;
  if (absl::IsUnavailable(status)) {
    context = absl::StrCat("cannot reach the server at ", options_.server);
  } else if (absl::IsDeadlineExceeded(status)) {
    context = absl::StrCat("the server at ", options_.server, " did not answer in time");
  }
  const bool said = absl::StartsWith(status.message(), context);
  return said ? status : Annotate(status, context);
}

}  // namespace stockpot::cli
