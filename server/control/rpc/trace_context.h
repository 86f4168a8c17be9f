// W3C Trace Context: which trace of the caller's a call belongs to, so that log lines can be joined
// to it. Source: https://www.w3.org/TR/trace-context, "traceparent".
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_TRACE_CONTEXT_H_
#define STOCKPOT_SERVER_CONTROL_RPC_TRACE_CONTEXT_H_

#include <optional>
#include <string>

#include "absl/strings/string_view.h"

namespace stockpot {

struct TraceContext {
  std::string trace_id;   // 32 of 0-9 and a-f, not all 0
  std::string parent_id;  // 16 of them, not all 0: the caller's span
};

// VERSION-TRACE-PARENT-FLAGS, as "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01". Of a
// later version than 00 more may follow after another "-". Nothing: it is no such text, and is
// to be taken as not given.
std::optional<TraceContext> ParseTraceparent(absl::string_view text);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_TRACE_CONTEXT_H_
