#include "server/base/status.h"

#include <cstdint>

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"

namespace stockpot {
namespace {

constexpr absl::string_view kFactsUrl = "stockpot.dev/error-facts";

Json FactsJson(const ErrorFacts& facts) {
  Json json = Json::object();
  if (!facts.reason.empty()) json["reason"] = facts.reason;
  if (!facts.metadata.empty()) json["metadata"] = facts.metadata;
  if (!facts.violations.empty()) {
    Json& list = json["violations"] = Json::array();
    for (const FieldViolation& violation : facts.violations) {
      list.push_back({{"field", violation.field}, {"description", violation.description}});
    }
  }
  if (facts.retry_after != absl::ZeroDuration()) {
    json["retry_after_ms"] = absl::ToInt64Milliseconds(facts.retry_after);
  }
  return json;
}

ErrorFacts FactsFromJson(const Json& json) {
  ErrorFacts facts;
  JsonReader reader(json, "");
  reader.Read("reason", &facts.reason);
  auto metadata = json.find("metadata");
  if (metadata != json.end() && metadata->is_object()) {
    for (auto& [key, value] : metadata->items()) {
      if (value.is_string()) facts.metadata[key] = value.get<std::string>();
    }
  }
  for (JsonReader& item : reader.List("violations")) {
    FieldViolation violation;
    item.Read("field", &violation.field);
    item.Read("description", &violation.description);
    facts.violations.push_back(std::move(violation));
  }
  int64_t retry_after_ms = 0;
  reader.Read("retry_after_ms", &retry_after_ms);
  facts.retry_after = absl::Milliseconds(retry_after_ms);
  return facts;
}

absl::Status SetFacts(absl::Status status, const ErrorFacts& facts) {
  if (!status.ok()) status.SetPayload(kFactsUrl, absl::Cord(DumpJson(FactsJson(facts))));
  return status;
}

}  // namespace

absl::Status Annotate(const absl::Status& status, absl::string_view context) {
  if (status.ok()) return status;
  absl::Status annotated(status.code(), absl::StrCat(context, ": ", status.message()));
  status.ForEachPayload([&](absl::string_view url, const absl::Cord& payload) {
    annotated.SetPayload(url, payload);
  });
  return annotated;
}

absl::Status WithReason(absl::Status status, absl::string_view reason) {
  ErrorFacts facts = GetErrorFacts(status);
  facts.reason = std::string(reason);
  return SetFacts(std::move(status), facts);
}

absl::Status WithMetadata(absl::Status status, absl::string_view key, absl::string_view value) {
  ErrorFacts facts = GetErrorFacts(status);
  facts.metadata[std::string(key)] = std::string(value);
  return SetFacts(std::move(status), facts);
}

absl::Status WithFacts(absl::Status status, const ErrorFacts& facts) {
  ErrorFacts merged = GetErrorFacts(status);
  if (!facts.reason.empty()) merged.reason = facts.reason;
  for (const auto& [key, value] : facts.metadata) merged.metadata[key] = value;
  if (!facts.violations.empty()) merged.violations = facts.violations;
  if (facts.retry_after != absl::ZeroDuration()) merged.retry_after = facts.retry_after;
  return SetFacts(std::move(status), merged);
}

ErrorFacts GetErrorFacts(const absl::Status& status) {
  absl::optional<absl::Cord> payload = status.GetPayload(kFactsUrl);
  if (!payload.has_value()) return {};
  absl::StatusOr<Json> json = ParseJson(std::string(*payload));
  return json.ok() && json->is_object() ? FactsFromJson(*json) : ErrorFacts();
}

std::string SerializeStatus(const absl::Status& status) {
  if (status.ok()) return DumpJson({{"code", 0}});
  return DumpJson({{"code", static_cast<int>(status.code())},
                   {"message", std::string(status.message())},
                   {"facts", FactsJson(GetErrorFacts(status))}});
}

absl::Status ParseSerializedStatus(absl::string_view serialized) {
  const absl::Status malformed = absl::InternalError(
      absl::StrCat("not a serialized status: '", serialized.substr(0, 200), "'"));
  absl::StatusOr<Json> json = ParseJson(serialized);
  if (!json.ok() || !json->is_object()) return malformed;
  JsonReader reader(*json, "");
  int code = -1;
  std::string message;
  reader.Read("code", &code);
  reader.Read("message", &message);
  if (!reader.violations().empty() || code < 0 || code > 16) return malformed;
  if (code == 0) return absl::OkStatus();
  absl::Status status(static_cast<absl::StatusCode>(code), message);
  auto facts = json->find("facts");
  if (facts == json->end() || !facts->is_object() || facts->empty()) return status;
  return SetFacts(std::move(status), FactsFromJson(*facts));
}

}  // namespace stockpot
