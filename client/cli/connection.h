// The connection to a server: deadlines on unary calls, Ctrl-C cancels what is in
// flight. Thread safety: confined to the thread that runs the command.
#ifndef STOCKPOT_CLIENT_CLI_CONNECTION_H_
#define STOCKPOT_CLIENT_CLI_CONNECTION_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "client/cli/channel_security.h"
#include "client/cli/errors.h"
#include "client/cli/interruption.h"
#include "stockpot/v1/soup_service.grpc.pb.h"

namespace stockpot::cli {

class Connection {
 public:
  struct Options {
    std::string server;      // HOST:PORT or unix:PATH
    std::string client;      // goes with every call as the metadata stockpot-client; "": none
    absl::Duration timeout;  // of unary calls
    ChannelSecurity security;
    std::string traceparent = {};  // passed on with every call where it looks like one
    // Told of each call (verbose_calls.h); null: nobody. Must outlive the connection.
    std::ostream* verbose = nullptr;
  };
  // Connects with the first call.
  Connection(Options options, Interruption& interruption);

  // Errors: what the server says; UNAVAILABLE and DEADLINE_EXCEEDED with its address in front.
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::SoupService::StubInterface::*method)(
                                    grpc::ClientContext*, const Request&, Response*),
                                const Request& request) {
    return Call(method, request, options_.timeout);
  }
  template <typename Request, typename Response>
  absl::StatusOr<Response> Call(grpc::Status (v1::SoupService::StubInterface::*method)(
                                    grpc::ClientContext*, const Request&, Response*),
                                const Request& request, absl::Duration timeout) {
    grpc::ClientContext context;
    Introduce(context);
    const Interruption::CallScope scope(interruption_, context);
    context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
    Response response;
    const grpc::Status status = (stub_.get()->*method)(&context, request, &response);
    if (!status.ok()) return WithAddress(FromGrpc(status));
    return response;
  }

  absl::StatusOr<v1::Job> GetJob(const std::string& name);

  // For streams, which their callers give a context that was introduced and an
  // Interruption::CallScope.
  v1::SoupService::StubInterface& stub() { return *stub_; }
  // Says who asks.
  void Introduce(grpc::ClientContext& context) const;
  // Names the server where it could not be reached.
  absl::Status WithAddress(const absl::Status& status) const;

 private:
  const Options options_;
  Interruption& interruption_;
  const std::unique_ptr<v1::SoupService::StubInterface> stub_;
};

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_CONNECTION_H_
