#include "server/control/rpc/list_query.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "server/base/digest.h"
#include "server/base/json_reader.h"
#include "server/control/rpc/error_translation.h"

namespace stockpot {
namespace {

constexpr int kDefaultPageSize = 50;
constexpr int kMaxPageSize = 1000;

std::optional<JobState> FindState(absl::string_view name) {
  for (JobState state : {JobState::kQueued, JobState::kRunning, JobState::kSuspended,
                         JobState::kSucceeded, JobState::kFailed, JobState::kCancelled}) {
    if (JobStateName(state) == name) return state;
  }
  return std::nullopt;
}

absl::Status ReadTerm(absl::string_view term, JobQuery* query) {
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(term, absl::MaxSplits('=', 1));
  absl::string_view key = absl::StripAsciiWhitespace(parts.first);
  const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
  if (!absl::StrContains(term, '=')) {
    return InvalidField("filter", absl::StrCat("'", term, "' is not KEY=VALUE"));
  }
  if (key == "state") {
    const std::optional<JobState> state = FindState(value);
    if (!state.has_value()) {
      return InvalidField("filter", absl::StrCat("'", value, "' is not a state such as RUNNING"));
    }
    if (query->state.has_value() && query->state != state) {
      return InvalidField("filter", "a job has one state");
    }
    query->state = state;
    return absl::OkStatus();
  }
  if (!absl::ConsumePrefix(&key, "labels.") || key.empty()) {
    return InvalidField("filter",
                        absl::StrCat("'", key, "' cannot be filtered; state and labels.KEY can"));
  }
  const auto [label, is_new] = query->labels.emplace(std::string(key), std::string(value));
  if (!is_new && label->second != value) {
    return InvalidField("filter", absl::StrCat("labels.", key, " has one value"));
  }
  return absl::OkStatus();
}

std::string FilterDigest(const std::string& filter) { return Sha256Hex(filter).substr(0, 16); }

struct OrderName {
  absl::string_view name;
  JobOrder order;
};
constexpr OrderName kOrders[] = {{"create_time desc", JobOrder::kNewestFirst},
                                 {"create_time", JobOrder::kOldestFirst},
                                 {"priority desc", JobOrder::kHighestPriorityFirst},
                                 {"priority", JobOrder::kLowestPriorityFirst}};

// The order as it is named above, however it was spaced; the first one by default.
std::string CanonicalOrder(const std::string& order_by) {
  const std::string name =
      absl::StrJoin(absl::StrSplit(order_by, ' ', absl::SkipWhitespace()), " ");
  return name.empty() ? std::string(kOrders[0].name) : name;
}

absl::StatusOr<JobOrder> ReadOrder(const std::string& order_by) {
  const std::string name = CanonicalOrder(order_by);
  for (const OrderName& known : kOrders) {
    if (known.name == name) return known.order;
  }
  return InvalidField("order_by",
                      "must be 'create_time desc', 'create_time', 'priority desc' or 'priority'");
}

absl::Status ReadPageToken(const v1::ListJobsRequest& request, JobQuery* query) {
  std::string text;
  const absl::Status malformed =
      InvalidField("page_token", "is not the next_page_token of a response");
  if (!absl::WebSafeBase64Unescape(request.page_token(), &text)) return malformed;
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok()) return malformed;
  JsonReader reader(*json, "");
  int64_t time = 0;
  int priority = 0;
  std::string name, filter, order;
  reader.Read("time", &time);
  reader.Read("name", &name);
  reader.Read("priority", &priority);
  reader.Read("filter", &filter);
  reader.Read("order", &order);
  if (!reader.violations().empty() || name.empty()) return malformed;
  if (filter != FilterDigest(request.filter())) {
    return InvalidField("page_token", "was made for another filter");
  }
  if (order != CanonicalOrder(request.order_by())) {
    return InvalidField("page_token", "was made for another order");
  }
  query->after = {absl::FromUnixMicros(time), std::move(name), priority};
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<JobQuery> ToJobQuery(const v1::ListJobsRequest& request) {
  JobQuery query;
  if (request.page_size() < 0) return InvalidField("page_size", "must not be negative");
  query.limit =
      request.page_size() == 0 ? kDefaultPageSize : std::min(request.page_size(), kMaxPageSize);
  if (!request.filter().empty()) {
    for (absl::string_view term : absl::StrSplit(request.filter(), " AND ")) {
      RETURN_IF_ERROR(ReadTerm(absl::StripAsciiWhitespace(term), &query));
    }
  }
  ASSIGN_OR_RETURN(query.order, ReadOrder(request.order_by()));
  if (!request.page_token().empty()) RETURN_IF_ERROR(ReadPageToken(request, &query));
  return query;
}

std::string MakePageToken(const v1::ListJobsRequest& request, const JobRecord& last) {
  const Json token = {{"time", absl::ToUnixMicros(last.create_time)},
                      {"name", last.name},
                      {"priority", last.priority},
                      {"filter", FilterDigest(request.filter())},
                      {"order", CanonicalOrder(request.order_by())}};
  return absl::WebSafeBase64Escape(token.dump());
}

}  // namespace stockpot
