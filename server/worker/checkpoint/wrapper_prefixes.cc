#include "server/worker/checkpoint/wrapper_prefixes.h"

#include <algorithm>
#include <utility>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"

namespace stockpot {
namespace {

using Names = std::vector<absl::string_view>;

constexpr absl::string_view kWrappers[] = {"module.", "_orig_mod.", "_fsdp_wrapped_module."};
constexpr absl::string_view kLightningAttributes[] = {"model.", "net.", "network."};
constexpr absl::string_view kAveragedCount = "n_averaged";

bool Has(absl::string_view name, absl::string_view prefix) {
  return name.size() > prefix.size() && absl::StartsWith(name, prefix);
}

// A part of a LightningModule that is no part of the model.
bool IsOfTraining(absl::string_view name) {
  const absl::string_view part = name.substr(0, name.find('.'));
  return absl::StartsWith(part, "loss") || absl::EndsWith(part, "loss") ||
         absl::StartsWith(part, "criterion") || absl::StrContains(part, "metric");
}

// Takes `prefix` off all names that have it, if the others may be left out.
template <typename MayBeLeftOut>
bool Take(absl::string_view prefix, const MayBeLeftOut& may_be_left_out, Names* names,
          Unwrapped* result) {
  Names rest, left_out;
  for (const absl::string_view name : *names) {
    if (Has(name, prefix)) {
      rest.push_back(name.substr(prefix.size()));
    } else if (may_be_left_out(name)) {
      left_out.push_back(name);
    } else {
      return false;
    }
  }
  if (rest.empty()) return false;
  for (const absl::string_view name : left_out) {
    result->left_out.push_back(result->prefix + std::string(name));
  }
  result->prefix.append(prefix.data(), prefix.size());
  *names = std::move(rest);
  return true;
}

void TakeWrappers(Names* names, Unwrapped* result) {
  const auto is_count = [](absl::string_view name) { return name == kAveragedCount; };
  for (bool longer = true; longer;) {
    longer = false;
    for (const absl::string_view prefix : kWrappers)
      longer |= Take(prefix, is_count, names, result);
  }
}

}  // namespace

Unwrapped Unwrap(const std::vector<std::string>& names, bool is_lightning) {
  Unwrapped result;
  Names rest(names.begin(), names.end());
  TakeWrappers(&rest, &result);
  if (!is_lightning) return result;
  for (const absl::string_view attribute : kLightningAttributes) {
    if (!Take(attribute, IsOfTraining, &rest, &result)) continue;
    TakeWrappers(&rest, &result);
    break;
  }
  return result;
}

}  // namespace stockpot
