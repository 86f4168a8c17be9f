#include "client/cli/errors.h"

#include <iterator>
#include <map>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "client/cli/hints.h"
#include "google/rpc/error_details.pb.h"

namespace stockpot::cli {
namespace {

constexpr char kDetails[] = "type.googleapis.com/google.rpc.Status";

// Calls `use` with every detail of the type.
template <typename Detail, typename Use>
void ForEachDetail(const google::rpc::Status& status, const Use& use) {
  for (const google::protobuf::Any& any : status.details()) {
    Detail detail;
    if (any.Is<Detail>() && any.UnpackTo(&detail)) use(detail);
  }
}

// A message may have lines of its own, such as a model's stack trace: they stay, indented.
std::string PrintableLines(absl::string_view text) {
  std::vector<std::string> lines = absl::StrSplit(text, '\n');
  for (std::string& line : lines) line = Printable(line);
  return absl::StrJoin(lines, "\n  ");
}

}  // namespace

absl::Status FromRpc(const google::rpc::Status& status) {
  absl::Status result(static_cast<absl::StatusCode>(status.code()), status.message());
  if (!result.ok() && status.details_size() > 0) {
    result.SetPayload(kDetails, absl::Cord(status.SerializeAsString()));
  }
  return result;
}

absl::Status FromGrpc(const grpc::Status& status) {
  google::rpc::Status details;
  // Not ours to trust: what does not parse carries no details. Code and message are the call's.
  if (!details.ParseFromString(status.error_details())) details.Clear();
  details.set_code(status.error_code());
  details.set_message(status.error_message());
  return FromRpc(details);
}

google::rpc::Status ToRpc(const absl::Status& status) {
  google::rpc::Status result;
  if (const auto payload = status.GetPayload(kDetails)) {
    if (!result.ParseFromString(std::string(*payload))) result.Clear();
  }
  result.set_code(static_cast<int>(status.code()));
  result.set_message(std::string(status.message()));
  return result;
}

absl::Status InvalidFields(absl::string_view message, const std::vector<FieldProblem>& problems) {
  google::rpc::BadRequest bad_request;
  for (const FieldProblem& problem : problems) {
    auto* violation = bad_request.add_field_violations();
    violation->set_field(problem.field);
    violation->set_description(problem.description);
  }
  google::rpc::Status status;
  status.set_code(static_cast<int>(absl::StatusCode::kInvalidArgument));
  status.set_message(std::string(message));
  status.add_details()->PackFrom(bad_request);
  return FromRpc(status);
}

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  google::rpc::Status annotated = ToRpc(status);
  annotated.set_message(absl::StrCat(context, ": ", status.message()));
  return FromRpc(annotated);
}

absl::Duration RetryDelay(const absl::Status& status) {
  absl::Duration delay = absl::ZeroDuration();
  ForEachDetail<google::rpc::RetryInfo>(ToRpc(status), [&](const google::rpc::RetryInfo& info) {
    delay =
        absl::Seconds(info.retry_delay().seconds()) + absl::Nanoseconds(info.retry_delay().nanos());
  });
  return delay;
}

int ExitCode(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kExitSuccess;
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kNotFound:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kPermissionDenied:
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return kExitBadInput;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnreachable;
    default:
      return kExitOther;
  }
}

std::string FormatError(const absl::Status& status, const Style& style) {
  const google::rpc::Status details = ToRpc(status);
  const std::string message = status.message().empty() ? absl::StatusCodeToString(status.code())
                                                       : PrintableLines(details.message());
  std::string text = absl::StrCat(style.Red("error:"), " ", message, "\n");
  ForEachDetail<google::rpc::BadRequest>(details, [&](const google::rpc::BadRequest& detail) {
    for (const auto& violation : detail.field_violations()) {
      absl::StrAppend(&text, "  ", Printable(violation.field()), ": ",
                      Printable(violation.description()), "\n");
    }
  });
  ForEachDetail<google::rpc::ErrorInfo>(details, [&](const google::rpc::ErrorInfo& info) {
    const std::map<std::string, std::string> sorted(info.metadata().begin(), info.metadata().end());
    for (const auto& [key, value] : sorted) {
      absl::StrAppend(&text, "  ", Printable(key), ": ", Printable(value), "\n");
    }
    absl::StrAppend(&text, "  reason: ", Printable(info.reason()), "\n");
    const absl::string_view hint = WhatToDo(info.reason());
    if (!hint.empty()) absl::StrAppend(&text, "  what to do: ", hint, "\n");
  });
  const absl::Duration delay = RetryDelay(status);
  if (delay > absl::ZeroDuration()) {
    absl::StrAppend(&text, "  try again in: ", absl::FormatDuration(delay), "\n");
  }
  return text;
}

}  // namespace stockpot::cli
