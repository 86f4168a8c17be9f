#include "server/storage/object_store/arrow_errors.h"

#include <arrow/util/io_util.h>

#include <algorithm>
#include <cerrno>
#include <iterator>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

// The number that follows `mark`; 0: none.
int NumberAfter(absl::string_view message, absl::string_view mark) {
  const size_t at = message.find(mark);
  if (at == absl::string_view::npos) return 0;
  const absl::string_view rest = message.substr(at + mark.size());
  int number = 0;
  const size_t end = std::min(rest.find_first_not_of("0123456789"), rest.size());
  return absl::SimpleAtoi(rest.substr(0, end), &number) ? number : 0;
}

// The name that follows `mark`, such as SLOW_DOWN of "AWS Error SLOW_DOWN during …"; "": none.
absl::string_view NameAfter(absl::string_view message, absl::string_view mark) {
  const size_t at = message.find(mark);
  if (at == absl::string_view::npos) return "";
  const absl::string_view rest = message.substr(at + mark.size());
  const auto* const end = std::find_if(rest.begin(), rest.end(), [](char c) {
    return !absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '_';
  });
  return rest.substr(0, static_cast<size_t>(end - rest.begin()));
}

template <size_t N>
bool IsOneOf(absl::string_view name, const absl::string_view (&names)[N]) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

constexpr absl::string_view kForbiddenByS3[] = {
    "ACCESS_DENIED",         "INVALID_ACCESS_KEY_ID",   "SIGNATURE_DOES_NOT_MATCH",
    "INVALID_SIGNATURE",     "INVALID_CLIENT_TOKEN_ID", "MISSING_AUTHENTICATION_TOKEN",
    "UNRECOGNIZED_CLIENT",   "REQUEST_EXPIRED",         "REQUEST_TIME_TOO_SKEWED",
    "OPT_IN_REQUIRED",       "INVALID_OBJECT_STATE",    "USER_NOT_AUTHORIZED",
    "CLIENT_SIGNING_FAILURE"};
constexpr absl::string_view kNotFoundByS3[] = {"NO_SUCH_KEY", "NO_SUCH_BUCKET",
                                               "RESOURCE_NOT_FOUND"};
constexpr absl::string_view kBusyByS3[] = {
    "SLOW_DOWN",       "THROTTLING",         "SERVICE_UNAVAILABLE", "INTERNAL_FAILURE",
    "REQUEST_TIMEOUT", "NETWORK_CONNECTION", "VALIDATION",          "REQUEST_THROTTLED"};

// Of google::cloud::StatusCode, which the library makes of HTTP statuses and of libcurl's codes.
constexpr absl::string_view kForbiddenByGcs[] = {"PERMISSION_DENIED", "UNAUTHENTICATED"};
constexpr absl::string_view kBusyByGcs[] = {
    "UNAVAILABLE", "RESOURCE_EXHAUSTED", "DEADLINE_EXCEEDED", "INTERNAL",
    "ABORTED",     "DATA_LOSS",          "UNKNOWN",           "CANCELLED"};

// Source: https://learn.microsoft.com/rest/api/storageservices/common-rest-api-error-codes and
// blob-service-error-codes. What is not here is told by its HTTP status.
constexpr absl::string_view kForbiddenByAzure[] = {"AuthenticationFailed",
                                                   "AuthorizationFailure",
                                                   "InvalidAuthenticationInfo",
                                                   "AuthorizationPermissionMismatch",
                                                   "NoAuthenticationInformation",
                                                   "InsufficientAccountPermissions",
                                                   "AccountIsDisabled",
                                                   "PublicAccessNotPermitted",
                                                   "BlobArchived"};
constexpr absl::string_view kNotFoundByAzure[] = {"BlobNotFound", "ContainerNotFound",
                                                  "ResourceNotFound", "PathNotFound"};
constexpr absl::string_view kBusyByAzure[] = {"ServerBusy", "OperationTimedOut", "InternalError"};

// libcurl's codes for what is wrong with TLS: CURLE_SSL_CONNECT_ERROR,
// CURLE_PEER_FAILED_VERIFICATION, CURLE_SSL_CACERT_BADFILE.
bool IsOfTls(int curl_code) { return curl_code == 35 || curl_code == 60 || curl_code == 77; }

absl::Status Forbidden(const std::string& said) {
  return WithReason(absl::PermissionDeniedError(absl::StrCat(
                        said, ": it is not there, or the operator's credentials may not read it")),
                    "SOURCE_FORBIDDEN");
}

absl::Status Unavailable(const std::string& said) {
  return WithReason(absl::UnavailableError(said), "SOURCE_UNAVAILABLE");
}

absl::Status NotThere(const std::string& place) {
  return absl::NotFoundError(absl::StrCat(place, " has no such file"));
}

absl::Status Untrusted(const std::string& place) {
  return WithReason(
      absl::FailedPreconditionError(absl::StrCat(
          place, ": the server has no certificate that is trusted here (--remote_ca_file)")),
      "SOURCE_UNTRUSTED");
}

absl::Status Unsupported(const std::string& said) {
  return WithReason(absl::FailedPreconditionError(said), "SOURCE_UNSUPPORTED");
}

absl::Status FromHttpStatus(int status, const std::string& place) {
  const std::string said = absl::StrCat(place, ": HTTP status ", status);
  if (status == 404) return NotThere(place);
  if (status == 401 || status == 403) return Forbidden(said);
  if (status == 408 || status == 425 || status == 429 || status >= 500) return Unavailable(said);
  return Unsupported(said);
}

// What Azure's library says where no server answered, or there was nothing to ask it with.
absl::Status WithoutAnswer(absl::string_view words, const std::string& place) {
  if (absl::StrContains(words, "SSL peer certificate")) return Untrusted(place);
  if (absl::StrContains(words, "Credential")) {
    return Forbidden(absl::StrCat(place, ": no credential was to be had"));
  }
  return Unavailable(absl::StrCat(place, ": no answer"));
}

bool IsNotThere(const arrow::Status& status) {
  return arrow::internal::ErrnoFromStatus(status) == ENOENT;
}

std::string Said(const std::string& place, absl::string_view name) {
  return absl::StrCat(place, ": ", name.empty() ? "an error" : name);
}

}  // namespace

absl::Status FromS3(const arrow::Status& status, const std::string& place) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.message();
  const absl::string_view name = NameAfter(message, "AWS Error ");
  const std::string said = Said(place, name);
  if (IsNotThere(status) || IsOneOf(name, kNotFoundByS3)) return NotThere(place);
  if (IsOneOf(name, kForbiddenByS3)) return Forbidden(said);
  if (name == "NETWORK_CONNECTION" && IsOfTls(NumberAfter(message, "curlCode: "))) {
    return Untrusted(place);
  }
  if (IsOneOf(name, kBusyByS3)) return Unavailable(said);
  const int http_status = NumberAfter(message, "(HTTP status ");
  if (http_status == 301 || http_status == 307 || http_status == 400) {
    return Unsupported(absl::StrCat(place, ": HTTP status ", http_status,
                                    ": the bucket may be of another region (--s3_region)"));
  }
  return http_status != 0 ? FromHttpStatus(http_status, place) : Unsupported(said);
}

absl::Status FromGcs(const arrow::Status& status, const std::string& place) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.message();
  const absl::string_view name = NameAfter(message, "google::cloud::Status(");
  // Arrow's own words, of a folder that no object is in.
  if (IsNotThere(status) || absl::StartsWith(message, "No such file or directory")) {
    return NotThere(place);
  }
  if (IsOneOf(name, kForbiddenByGcs)) return Forbidden(Said(place, name));
  if (IsOfTls(NumberAfter(message, "CURL error ["))) return Untrusted(place);
  return IsOneOf(name, kBusyByGcs) ? Unavailable(Said(place, name))
                                   : Unsupported(Said(place, name));
}

absl::Status FromAzure(const arrow::Status& status, const std::string& place) {
  if (status.ok()) return absl::OkStatus();
  const std::string& message = status.message();
  const absl::string_view name = NameAfter(message, "Azure Error: [");
  if (IsNotThere(status) || IsOneOf(name, kNotFoundByAzure)) return NotThere(place);
  if (IsOneOf(name, kForbiddenByAzure)) return Forbidden(Said(place, name));
  if (IsOneOf(name, kBusyByAzure)) return Unavailable(Said(place, name));
  // "Azure Error: [NAME] 403 REASON"
  const std::string mark = absl::StrCat("Azure Error: [", name, "] ");
  const int http_status = NumberAfter(message, mark);
  if (http_status != 0) return FromHttpStatus(http_status, place);
  const size_t at = message.find(mark);
  return name.empty() && at != std::string::npos ? WithoutAnswer(message.substr(at), place)
                                                 : Unsupported(Said(place, name));
}

absl::Status FromException(const std::exception& error, const std::string& place) {
  return WithoutAnswer(error.what(), place);
}

}  // namespace stockpot
