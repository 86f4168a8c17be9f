// The half of http_store.h that follows redirects and reads statuses.
#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/storage/http_store.h"

namespace stockpot {
namespace {

constexpr int kMostRedirects = 5;

bool IsRedirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

absl::StatusOr<RemoteUri> RedirectTarget(const RemoteUri& from, const HttpFields& fields) {
  const std::string location = FieldOf(fields, "location");
  if (location.empty()) {
    return WithReason(absl::FailedPreconditionError(
                          absl::StrCat("'", from.host, "' redirects, and does not say where to")),
                      "SOURCE_UNSUPPORTED");
  }
  const std::string origin = absl::StrCat(from.scheme, "://", from.authority);
  std::string target = location;
  if (absl::StartsWith(location, "//")) {
    target = absl::StrCat(from.scheme, ":", location);
  } else if (absl::StartsWith(location, "/")) {
    target = origin + location;
  } else if (!absl::StrContains(absl::string_view(location).substr(0, location.find('?')), ':')) {
    target = absl::StrCat(origin, from.path.substr(0, from.path.rfind('/') + 1), location);
  }
  const absl::StatusOr<RemoteUri> to = ParseRedirect(target);
  if (to.ok()) return to;
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "'", from.host, "' redirects to what is no URL: ", to.status().message())),
                    "SOURCE_UNSUPPORTED");
}

// What a status from 400 on means.
absl::Status ErrorOf(const RemoteUri& uri, const HttpClient::Head& head, absl::Time now) {
  const std::string said = absl::StrCat("'", uri.host, "' answers with HTTP status ", head.status);
  switch (head.status) {
    case 404:
    case 410:
      return absl::NotFoundError(absl::StrCat("'", uri.host, "' has no such file"));
    case 401:
    case 403:
      return WithReason(
          absl::PermissionDeniedError(absl::StrCat(
              said, ": the file is not there, or takes a token that the operator has not given")),
          "SOURCE_FORBIDDEN");
    case 408:
    case 425:
    case 429: {
      ErrorFacts facts;
      facts.reason = "SOURCE_UNAVAILABLE";
      facts.retry_after = RetryAfterOf(head.fields, now);
      return WithFacts(absl::UnavailableError(said), facts);
    }
    default:
      break;
  }
  if (head.status >= 500) {
    ErrorFacts facts;
    facts.reason = "SOURCE_UNAVAILABLE";
    facts.retry_after = RetryAfterOf(head.fields, now);
    return WithFacts(absl::UnavailableError(said), facts);
  }
  return WithReason(absl::FailedPreconditionError(said), "SOURCE_UNSUPPORTED");
}

bool IsError(int status) { return status >= 400 && status != 412 && status != 416; }

}  // namespace

HttpRequests::HttpRequests(HttpClient* client, Clock* clock, Credentials credentials)
    : client_(client), clock_(clock), credentials_(std::move(credentials)) {}

absl::StatusOr<HttpRequests::Answer> HttpRequests::Get(
    const RemoteUri& uri, const std::string& range, const std::string& if_range,
    const CheckHop& check_hop, const HttpClient::OnHead& on_head, const HttpClient::OnBody& on_body,
    const KeepGoing& keep_going) const {
  Answer answer;
  answer.place = uri;
  for (int hop = 0; hop <= kMostRedirects; ++hop) {
    const auto on_own_head = [&](const HttpClient::Head& head) -> absl::StatusOr<HttpClient::Body> {
      for (const auto& [name, value] : head.fields) {
        if (absl::StartsWith(name, "x-")) answer.on_path.emplace(name, value);
      }
      if (IsRedirect(head.status) || IsError(head.status)) return HttpClient::Body::kSkip;
      return on_head(head);
    };
    // The token of this very host, so that a redirect takes none along.
    const HttpClient::Request request = {
        .uri = answer.place,
        .range = range,
        .if_range = if_range,
        .bearer_token = credentials_.TokenFor(answer.place, client_->policy())};
    ASSIGN_OR_RETURN(answer.head, client_->Get(request, on_own_head, on_body, keep_going));
    if (IsError(answer.head.status)) return ErrorOf(answer.place, answer.head, clock_->Now());
    if (!IsRedirect(answer.head.status)) return answer;
    ASSIGN_OR_RETURN(RemoteUri to, RedirectTarget(answer.place, answer.head.fields));
    RETURN_IF_ERROR(check_hop(answer.place, to));
    answer.place = std::move(to);
  }
  return WithReason(absl::FailedPreconditionError(absl::StrCat(
                        "'", uri.host, "' redirects more than ", kMostRedirects, " times")),
                    "SOURCE_UNSUPPORTED");
}

}  // namespace stockpot
