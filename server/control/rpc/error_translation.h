// Errors as clients see them: absl::Status with ErrorFacts (server/base/status.h) becomes
// google.rpc.Status with ErrorInfo, BadRequest and RetryInfo (https://google.aip.dev/193), which
// gRPC carries in the trailing metadata "grpc-status-details-bin".
//
// Bounds, because old gRPC allows 8 KiB of trailers in all: message at most 1 KiB (2 KiB once
// percent-encoded), details at most 4 KiB, the first twenty violations; ErrorInfo.metadata has
// "violation_count" when there are more. What is cut ends in "…". Text that is not UTF-8 is mended.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_CONTROL_RPC_ERROR_TRANSLATION_H_
#define STOCKPOT_SERVER_CONTROL_RPC_ERROR_TRANSLATION_H_

#include <grpcpp/support/status.h>

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "google/rpc/status.pb.h"

namespace stockpot {

inline constexpr size_t kMaxErrorMessageBytes = 1024;
inline constexpr size_t kMaxErrorDetailsBytes = 4096;
inline constexpr int kMaxErrorViolations = 20;

google::rpc::Status ToRpcStatus(const absl::Status& status);
grpc::Status ToGrpcStatus(const absl::Status& status);

// At most `max_bytes` of `text` as valid UTF-8; "…" marks a cut.
std::string BoundedUtf8(absl::string_view text, size_t max_bytes);

// INVALID_ARGUMENT, reason INVALID_FIELD, one violation.
absl::Status InvalidField(absl::string_view field, absl::string_view description);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_CONTROL_RPC_ERROR_TRANSLATION_H_
