// What a call's metadata say: who asks (stockpot-client), what logs call the call (x-request-id),
// and what it is a part of (traceparent); proto/stockpot/v1/soup_service.proto documents them.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_CALL_METADATA_H_
#define STOCKPOT_SERVER_CONTROL_RPC_CALL_METADATA_H_

#include <grpcpp/support/string_ref.h>

#include <cstddef>
#include <map>
#include <string>

#include "absl/strings/string_view.h"
#include "server/control/rpc/trace_context.h"

namespace stockpot {

inline constexpr char kClientMetadata[] = "stockpot-client";
inline constexpr char kRequestIdMetadata[] = "x-request-id";
inline constexpr char kTraceparentMetadata[] = "traceparent";

using CallMetadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// As it was given, "" when it was not; unchecked. Given more than once: joined with ',', as HTTP
// says, which IsClientName() refuses.
std::string ClientOf(const CallMetadata& metadata);

// Up to kMaxRequestId printable characters, or "": what x-request-id and a request_id may be.
inline constexpr size_t kMaxRequestId = 128;
bool IsRequestId(absl::string_view request_id);

// The one given where IsRequestId() and not "", else a fresh one.
std::string RequestIdOf(const CallMetadata& metadata);

// Empty where none was given, more than one, or one that is none.
TraceContext TraceOf(const CallMetadata& metadata);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_CALL_METADATA_H_
