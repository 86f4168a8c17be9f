// What --verbose tells: a line for each call and stream once it has ended, with its request id, by
// which the server's log knows it.
// Thread safety: thread-safe; `out` is written by gRPC's threads, a line at a time.
#ifndef STOCKPOT_CLIENT_CLI_VERBOSE_CALLS_H_
#define STOCKPOT_CLIENT_CLI_VERBOSE_CALLS_H_

#include <grpcpp/support/client_interceptor.h>

#include <memory>
#include <ostream>
#include <vector>

namespace stockpot::cli {

using InterceptorFactories =
    std::vector<std::unique_ptr<grpc::experimental::ClientInterceptorFactoryInterface>>;

// `out` must outlive the channel; null: none.
InterceptorFactories VerboseCalls(std::ostream* out);

}  // namespace stockpot::cli

#endif  // STOCKPOT_CLIENT_CLI_VERBOSE_CALLS_H_
