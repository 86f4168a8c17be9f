#include "server/control/rpc/trace_context.h"

#include <algorithm>

namespace stockpot {
namespace {

constexpr size_t kVersion = 2, kTrace = 32, kParent = 16, kFlags = 2;
constexpr size_t kTraceAt = kVersion + 1;
constexpr size_t kParentAt = kTraceAt + kTrace + 1;
constexpr size_t kFlagsAt = kParentAt + kParent + 1;
constexpr size_t kWhole = kFlagsAt + kFlags;

bool IsHex(absl::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(absl::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != absl::string_view::npos;
}

}  // namespace

std::optional<TraceContext> ParseTraceparent(absl::string_view text) {
  if (text.size() < kWhole) return std::nullopt;
  const absl::string_view version = text.substr(0, kVersion);
  const absl::string_view trace = text.substr(kTraceAt, kTrace);
  const absl::string_view parent = text.substr(kParentAt, kParent);
  for (const size_t dash : {kTraceAt - 1, kParentAt - 1, kFlagsAt - 1}) {
    if (text[dash] != '-') return std::nullopt;
  }
  if (!IsHex(version) || version == "ff" || !IsHex(text.substr(kFlagsAt, kFlags))) {
    return std::nullopt;
  }
  if (!IsId(trace) || !IsId(parent)) return std::nullopt;
  const bool more = text.size() > kWhole;
  if (more && (version == "00" || text[kWhole] != '-')) return std::nullopt;
  return TraceContext{std::string(trace), std::string(parent)};
}

}  // namespace stockpot
