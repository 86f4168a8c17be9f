// Hears of every call to the public server: what metrics count. rpc/ knows no metrics library.
// Thread safety: implementations are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_

#include <string>

namespace stockpot {

struct CallName {
  std::string type;     // "unary", "client_stream", "server_stream", "bidi_stream"
  std::string service;  // "stockpot.v1.SoupService"
  std::string method;   // "GetJob"; only methods that the server has
};

class CallObserver {
 public:
  virtual ~CallObserver() = default;
  virtual void CallStarted(const CallName& call) = 0;
  // `code`: "OK", "NotFound", … as grpc-prometheus spells them.
  virtual void CallEnded(const CallName& call, const std::string& code, double seconds) = 0;
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_OBSERVER_H_
