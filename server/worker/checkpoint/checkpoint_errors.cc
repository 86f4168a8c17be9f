#include "server/worker/checkpoint/checkpoint_errors.h"

#include <cstdint>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "server/base/status.h"

namespace stockpot {
namespace {

constexpr size_t kMaxQuotedBytes = 120;
constexpr size_t kMaxNameBytes = 1024;

// How many bytes the UTF-8 sequence at the front of `text` has (RFC 3629); 0 when it is none.
size_t Utf8SequenceLength(absl::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t lead = byte(0);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return 0;
  }
  const bool overlong = (lead == 0xE0 && byte(1) < 0xA0) || (lead == 0xF0 && byte(1) < 0x90);
  const bool surrogate = lead == 0xED && byte(1) > 0x9F;
  const bool too_large = lead == 0xF4 && byte(1) > 0x8F;
  return overlong || surrogate || too_large ? 0 : length;
}

bool IsValidUtf8(absl::string_view text) {
  while (!text.empty()) {
    const size_t length = Utf8SequenceLength(text);
    if (length == 0) return false;
    text.remove_prefix(length);
  }
  return true;
}

}  // namespace

absl::Status InvalidCheckpoint(absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(message), "CHECKPOINT_INVALID");
}

absl::Status UnsupportedCheckpoint(absl::string_view message) {
  return WithReason(absl::UnimplementedError(message), "CHECKPOINT_UNSUPPORTED");
}

absl::Status TruncatedCheckpoint(absl::string_view message) {
  return WithReason(absl::DataLossError(message), "CHECKPOINT_TRUNCATED");
}

absl::Status AtTensor(absl::string_view name, const absl::Status& status) {
  if (status.ok()) return status;
  return WithMetadata(Annotate(status, absl::StrCat("tensor ", Quote(name))), "tensor", name);
}

std::string Quote(absl::string_view text) {
  const bool cut = text.size() > kMaxQuotedBytes;
  text = text.substr(0, kMaxQuotedBytes);
  return absl::StrCat("'",
                      IsValidUtf8(text) ? absl::Utf8SafeCHexEscape(text) : absl::CHexEscape(text),
                      cut ? "…'" : "'");
}

absl::Status CheckTensorName(absl::string_view name) {
  if (name.size() > kMaxNameBytes) {
    return InvalidCheckpoint(
        absl::StrCat("tensor name ", Quote(name), " is longer than ", kMaxNameBytes, " bytes"));
  }
  if (!IsValidUtf8(name)) {
    return InvalidCheckpoint(absl::StrCat("tensor name ", Quote(name), " is not UTF-8"));
  }
  if (name == "__metadata__") {
    return InvalidCheckpoint(
        "a tensor is named '__metadata__', which safetensors keeps for itself");
  }
  return absl::OkStatus();
}

}  // namespace stockpot
