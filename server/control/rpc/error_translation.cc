#include "server/control/rpc/error_translation.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr absl::string_view kDomain = "stockpot.dev";
constexpr absl::string_view kCut = "…";
constexpr size_t kMaxMetadataEntries = 16;
constexpr size_t kMaxPercentEncodedMessageBytes = 2048;

// Length of the UTF-8 sequence at the start of `text`, 0 when it is none (RFC 3629).
size_t SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char first = byte(0);
  if (first < 0x80) return 1;
  const size_t length = first >= 0xC2 && first <= 0xDF   ? 2
                        : first >= 0xE0 && first <= 0xEF ? 3
                        : first >= 0xF0 && first <= 0xF4 ? 4
                                                         : 0;
  if (length == 0 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xE0 && byte(1) < 0xA0) || (first == 0xF0 && byte(1) < 0x90);
  const bool not_a_character =
      (first == 0xED && byte(1) > 0x9F) || (first == 0xF4 && byte(1) > 0x8F);
  return overlong || not_a_character ? 0 : length;
}

size_t PercentEncodedSize(absl::string_view text) {
  size_t size = 0;
  for (char c : text) size += c >= ' ' && c <= '~' && c != '%' ? 1 : 3;
  return size;
}

// HTTP/2 carries the message percent-encoded, three bytes for each that is not printable ASCII.
std::string BoundedMessage(absl::string_view text) {
  std::string message = BoundedUtf8(text, kMaxErrorMessageBytes);
  for (size_t limit = message.size();
       PercentEncodedSize(message) > kMaxPercentEncodedMessageBytes;) {
    limit = limit * 3 / 4;
    message = BoundedUtf8(text, limit);
  }
  return message;
}

google::rpc::Status Build(const absl::Status& status, const ErrorFacts& facts, size_t text_limit,
                          int violation_limit) {
  google::rpc::Status result;
  result.set_code(static_cast<int>(status.code()));
  result.set_message(BoundedMessage(status.message()));

  google::rpc::ErrorInfo info;
  info.set_domain(std::string(kDomain));
  info.set_reason(BoundedUtf8(facts.reason, 63));
  for (const auto& [key, value] : facts.metadata) {
    if (info.metadata_size() >= static_cast<int>(kMaxMetadataEntries)) break;
    (*info.mutable_metadata())[BoundedUtf8(key, 64)] = BoundedUtf8(value, text_limit);
  }
  const int violation_count = static_cast<int>(facts.violations.size());
  const int shown = std::min(violation_count, violation_limit);
  if (shown < violation_count) {
    (*info.mutable_metadata())["violation_count"] = absl::StrCat(violation_count);
  }
  if (!facts.reason.empty() || info.metadata_size() > 0) result.add_details()->PackFrom(info);

  if (shown > 0) {
    google::rpc::BadRequest bad_request;
    for (int i = 0; i < shown; ++i) {
      google::rpc::BadRequest::FieldViolation* violation = bad_request.add_field_violations();
      const FieldViolation& from = facts.violations[static_cast<size_t>(i)];
      violation->set_field(BoundedUtf8(from.field, text_limit));
      violation->set_description(BoundedUtf8(from.description, text_limit));
    }
    result.add_details()->PackFrom(bad_request);
  }
  if (facts.retry_after > absl::ZeroDuration()) {
    google::rpc::RetryInfo retry;
    const int64_t milliseconds = absl::ToInt64Milliseconds(facts.retry_after);
    retry.mutable_retry_delay()->set_seconds(milliseconds / 1000);
    retry.mutable_retry_delay()->set_nanos(static_cast<int>(milliseconds % 1000) * 1'000'000);
    result.add_details()->PackFrom(retry);
  }
  return result;
}

}  // namespace

std::string BoundedUtf8(absl::string_view text, size_t max_bytes) {
  std::string result;
  size_t cut_at = 0;  // the longest prefix that leaves room for the mark
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const absl::string_view piece = length == 0 ? "?" : text.substr(0, length);
    if (result.size() + piece.size() > max_bytes) {
      result.resize(cut_at);
      return max_bytes < kCut.size() ? result : absl::StrCat(result, kCut);
    }
    absl::StrAppend(&result, piece);
    if (result.size() + kCut.size() <= max_bytes) cut_at = result.size();
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return result;
}

google::rpc::Status ToRpcStatus(const absl::Status& status) {
  const ErrorFacts facts = GetErrorFacts(status);
  int violation_limit = kMaxErrorViolations;
  // Long texts are shortened before any violation is left out.
  for (size_t text_limit = 512;; text_limit = text_limit * 3 / 4) {
    if (text_limit < 32) violation_limit = violation_limit / 2;
    google::rpc::Status result = Build(status, facts, text_limit, violation_limit);
    if (result.ByteSizeLong() <= kMaxErrorDetailsBytes) return result;
  }
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  const google::rpc::Status details = ToRpcStatus(status);
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), details.message(),
                      details.SerializeAsString());
}

absl::Status InvalidField(absl::string_view field, absl::string_view description) {
  ErrorFacts facts;
  facts.reason = "INVALID_FIELD";
  facts.violations.push_back({std::string(field), std::string(description)});
  return WithFacts(absl::InvalidArgumentError(absl::StrCat(field, ": ", description)), facts);
}

}  // namespace stockpot
