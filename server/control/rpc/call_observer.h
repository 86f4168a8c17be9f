// Hears of every call to the public server: what metrics count and what the log tells. rpc/ knows
// no metrics library. Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_

#include <string>

#include "server/control/rpc/trace_context.h"

namespace stockpot {

struct CallName {
  std::string type;     // "unary", "client_stream", "server_stream", "bidi_stream"
  std::string service;  // "stockpot.v1.SoupService"
  std::string method;   // "GetJob"; both are "unknown" where the server has no such method
};

// How a call went. Texts are the client's own where it gave them: bounded, not checked.
struct CallEnd {
  std::string code;  // "OK", "NotFound", … as grpc-prometheus spells them
  double seconds = 0;
  std::string request_id;  // printable
  std::string client;      // as Authorization knows it; "" of who is not known
  std::string peer;        // "ipv4:127.0.0.1:51234"
  std::string job;         // "jobs/…": the one asked for, or the one that was made; else ""
  TraceContext trace;      // empty: the caller says of none
  std::string error;       // the message of one that is the server's own fault; else ""
};

class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void CallStarted(const CallName& call) = 0;
  virtual void CallEnded(const CallName& call, const CallEnd& end) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_
