// The access log: one line for every call, when it has ended.
//
//   call method=CreateJob code=OK ms=12 request_id=… job=jobs/a client=ci peer=ipv4:127.0.0.1:51234
//   trace_id=0af7651916cd43dd8448eb211c80319c parent_id=b7ad6b7169203331
//
// The last two are those of the call's traceparent, and empty without one.
// Calls that failed by the server's own fault are errors, with the message; health checks, which
// come every few seconds, are for --verbose. A line never holds a URI or a request's content.
// Thread safety: thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_LOG_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_LOG_H_

#include "server/base/log.h"
#include "server/control/rpc/call_observer.h"

namespace stockpot {

class LoggedCalls final : public CallObserver {
 public:
  // Tells `next` (may be null) too. Both must outlive the observer.
  LoggedCalls(Log* log, CallObserver* next) : log_(log), next_(next) {}

  void CallStarted(const CallName& call) override;
  void CallEnded(const CallName& call, const CallEnd& end) override;

 private:
  Log* const log_;
  CallObserver* const next_;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_LOG_H_
