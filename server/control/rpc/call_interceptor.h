// A gRPC server interceptor that gives every call its request id, which goes back in the initial
// metadata, and tells a CallObserver of the call. Reflection is cancelled for who may not call: it
// is gRPC's own service and asks nobody. Methods of SoupService and WorkerService ask by
// themselves; health answers all. Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_

#include <grpcpp/support/server_interceptor.h>

#include "server/control/rpc/authorization.h"
#include "server/control/rpc/call_observer.h"

namespace stockpot {

class CallInterceptorFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  // `observer` (may be null) and `authorization` must outlive the server. `has_reflection`: false
  // cancels it whoever calls: gRPC adds it to every server of a process.
  CallInterceptorFactory(CallObserver* observer, Authorization* authorization,
                         bool has_reflection = true)
      : observer_(observer), authorization_(authorization), has_reflection_(has_reflection) {}

  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* info) override;

 private:
  CallObserver* const observer_;
  Authorization* const authorization_;
  const bool has_reflection_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_INTERCEPTOR_H_
