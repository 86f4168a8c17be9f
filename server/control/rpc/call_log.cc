#include "server/control/rpc/call_log.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace stockpot {
namespace {

// URIs keep no query: a signed one is a secret.
std::string WithoutQueries(std::string text) {
  for (size_t uri = text.find("://"); uri != std::string::npos; uri = text.find("://", uri + 1)) {
    const size_t end = std::min(text.find_first_of(" \t\n'\"", uri), text.size());
    const size_t query = text.find('?', uri);
    if (query < end) text.replace(query, end - query, "?…");
  }
  return text;
}

}  // namespace

void LoggedCalls::CallStarted(const CallName& call) {
  if (next_ != nullptr) next_->CallStarted(call);
}

void LoggedCalls::CallEnded(const CallName& call, const CallEnd& end) {
  if (next_ != nullptr) next_->CallEnded(call, end);
  const std::string milliseconds = absl::StrCat(static_cast<int64_t>(end.seconds * 1e3));
  if (!end.error.empty()) {
    log_->Error("call", {{"method", call.method},
                         {"code", end.code},
                         {"ms", milliseconds},
                         {"request_id", end.request_id},
                         {"job", end.job},
                         {"client", end.client},
                         {"peer", end.peer},
                         {"trace_id", end.trace.trace_id},
                         {"parent_id", end.trace.parent_id},
                         {"error", WithoutQueries(end.error)}});
    return;
  }
  const Log::Fields fields = {{"method", call.method},
                              {"code", end.code},
                              {"ms", milliseconds},
                              {"request_id", end.request_id},
                              {"job", end.job},
                              {"client", end.client},
                              {"peer", end.peer},
                              {"trace_id", end.trace.trace_id},
                              {"parent_id", end.trace.parent_id}};
  if (absl::StartsWith(call.service, "grpc.health.")) {
    log_->Debug("call", fields);
  } else {
    log_->Info("call", fields);
  }
}

}  // namespace stockpot
