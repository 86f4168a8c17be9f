// base/status: what every boundary of Stockpot says about failure.
//
// absl::Status carries the code and a message for people. The facts a program needs (a stable
// reason, the fields at fault, metadata, when to retry) travel as one payload, so that only rpc/
// has to know google.rpc. Context is added by wrapping on the way up:
//
//   RETURN_IF_ERROR(Annotate(reader.Open(path), absl::StrCat("checkpoint ", uri)));
//   return WithReason(absl::NotFoundError("no such file"), "CHECKPOINT_NOT_FOUND");
//
// Messages never hold secrets, and never a path of the server that the client did not name.
// Thread safety: every function here is thread-safe.
#ifndef STOCKPOT_SERVER_BASE_STATUS_H_
#define STOCKPOT_SERVER_BASE_STATUS_H_

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace stockpot {

// One field of a request that is wrong: `field` is a path such as "ingredients[3].uri".
struct FieldViolation {
  std::string field;
  std::string description;
};

// The facts of an error, beside its code and message.
struct ErrorFacts {
  std::string reason;                           // UPPER_SNAKE_CASE, listed in the public proto
  std::map<std::string, std::string> metadata;  // e.g. {"tensor", "fc.weight"}
  std::vector<FieldViolation> violations;       // all of them, in field order
  absl::Duration retry_after = absl::ZeroDuration();  // zero: retrying does not help by itself
};

// "context: message", same code and payload. OK stays OK.
absl::Status Annotate(const absl::Status& status, absl::string_view context);

absl::Status WithReason(absl::Status status, absl::string_view reason);
absl::Status WithMetadata(absl::Status status, absl::string_view key, absl::string_view value);
absl::Status WithFacts(absl::Status status, const ErrorFacts& facts);

// The facts attached so far; all empty when there are none.
ErrorFacts GetErrorFacts(const absl::Status& status);

// A status as one string (code, message, facts) and back: how it is stored and crosses the worker
// protocol. Parsing something that is not such a string gives INTERNAL with the string quoted.
std::string SerializeStatus(const absl::Status& status);
absl::Status ParseSerializedStatus(absl::string_view serialized);

}  // namespace stockpot

#define STOCKPOT_CONCAT_INNER_(a, b) a##b
#define STOCKPOT_CONCAT_(a, b) STOCKPOT_CONCAT_INNER_(a, b)

#define RETURN_IF_ERROR(expression)                      \
  do {                                                   \
    absl::Status stockpot_status_ = (expression);        \
    if (!stockpot_status_.ok()) return stockpot_status_; \
  } while (false)

// ASSIGN_OR_RETURN(auto value, FunctionReturningStatusOr());
#define ASSIGN_OR_RETURN(lhs, expression) \
  ASSIGN_OR_RETURN_IMPL_(STOCKPOT_CONCAT_(stockpot_or_, __LINE__), lhs, expression)
#define ASSIGN_OR_RETURN_IMPL_(temporary, lhs, expression) \
  auto temporary = (expression);                           \
  if (!temporary.ok()) return temporary.status();          \
  lhs = std::move(temporary).value()

#endif  // STOCKPOT_SERVER_BASE_STATUS_H_
