// A gRPC server interceptor that gives every call its request id, which goes back in the initial
// metadata, and tells a CallObserver of the call.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include "server/control/rpc/call_observer.h"

namespace stockpot {

class CallInterceptorFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `observer` (may be null) must outlive the server.
  explicit CallInterceptorFactory(CallObserver* observer) : observer_(observer) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  CallObserver* const observer_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_
