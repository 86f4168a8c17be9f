#include "server/control/rpc/call_metadata.h"

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "server/base/random_id.h"

namespace stockpot {
namespace {

std::string Joined(const CallMetadata& metadata, const char* key) {
  std::string text;
  const auto [begin, end] = metadata.equal_range(key);
  for (auto entry = begin; entry != end; ++entry) {
    absl::StrAppend(&text, entry == begin ? "" : ",",
                    absl::string_view(entry->second.data(), entry->second.size()));
  }
  return text;
}

}  // namespace

std::string ClientOf(const CallMetadata& metadata) { return Joined(metadata, kClientMetadata); }

bool IsRequestId(absl::string_view request_id) {
  return request_id.size() <= kMaxRequestId &&
         std::all_of(request_id.begin(), request_id.end(),
                     [](unsigned char c) { return absl::ascii_isprint(c); });
}

std::string RequestIdOf(const CallMetadata& metadata) {
  const std::string given = Joined(metadata, kRequestIdMetadata);
  return !given.empty() && IsRequestId(given) ? given : RandomId();
}

TraceContext TraceOf(const CallMetadata& metadata) {
  return ParseTraceparent(Joined(metadata, kTraceparentMetadata)).value_or(TraceContext());
}

}  // namespace stockpot
