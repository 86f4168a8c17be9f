// What adapter_config.json says, and what of it is refused.
#include <algorithm>
#include <set>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/checkpoint/checkpoint_errors.h"
#include "server/worker/checkpoint/low_rank_adapter.h"

namespace stockpot {
namespace {

// Whether an option is at its default: null, false, 0, "", [] or {}.
bool IsUnset(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         (value.is_number() && value.get<double>() == 0) ||
         (value.is_string() && value.get_ref<const std::string&>().empty()) ||
         (value.is_structured() && value.empty());
}

// Options that change what the factors mean. Those that begin with "use_" are refused as well,
// known or not, but for the two that are read.
constexpr absl::string_view kRefused[] = {
    "layer_replication", "trainable_token_indices", "target_parameters",
    "megatron_config",   "alora_invocation_tokens", "arrow_config",
    "kasa_config",       "velora_config",           "monteclora_config",
};

// They begin with factors whose product is 0, or leave the base as it is.
bool LeavesBaseAlone(const Json& initialization) {
  if (!initialization.is_string()) return true;
  static constexpr absl::string_view kHarmless[] = {"gaussian", "eva", "orthogonal", "true",
                                                    "false"};
  const std::string& name = initialization.get_ref<const std::string&>();
  return std::find(std::begin(kHarmless), std::end(kHarmless), name) != std::end(kHarmless);
}

absl::Status Refused(absl::string_view option, const Json& value) {
  return UnsupportedCheckpoint(absl::StrCat("the adapter has ", Quote(option), " = ",
                                            Quote(DumpJson(value)),
                                            ", which is not understood; merge it with peft's "
                                            "merge_and_unload() and give that checkpoint"));
}

absl::Status CheckUnderstood(const Json& config) {
  const Json type = config.value("peft_type", Json());
  if (type != "LORA") return Refused("peft_type", type);
  for (const auto& [option, value] : config.items()) {
    const bool is_read = option == "use_rslora" || option == "use_dora";
    const bool may_change_meaning =
        (absl::StartsWith(option, "use_") && !is_read) ||
        std::find(std::begin(kRefused), std::end(kRefused), option) != std::end(kRefused);
    if (may_change_meaning && !IsUnset(value)) return Refused(option, value);
  }
  const Json initialization = config.value("init_lora_weights", Json());
  if (!LeavesBaseAlone(initialization)) return Refused("init_lora_weights", initialization);
  return absl::OkStatus();
}

// A key of alpha_pattern is a regular expression; those that are plain names are read.
absl::StatusOr<std::string> PlainPattern(const std::string& key) {
  const std::string plain = absl::StrReplaceAll(key, {{"\\.", "."}});
  const size_t first = absl::StartsWith(plain, "^") ? 1 : 0;
  if (plain.find_first_of("^$*+?()[]{}|\\", first) == std::string::npos) return plain;
  return UnsupportedCheckpoint(absl::StrCat("the adapter's alpha_pattern ", Quote(key),
                                            " is a regular expression; only names are read"));
}

absl::StatusOr<bool> ReadFlag(const Json& config, const char* name) {
  const Json value = config.value(name, Json());
  if (value.is_null()) return false;
  if (value.is_boolean()) return value.get<bool>();
  return InvalidCheckpoint(absl::StrCat("adapter_config.json: ", name, " is no bool"));
}

}  // namespace

absl::StatusOr<AdapterConfig> ParseAdapterConfig(absl::string_view text) {
  const absl::StatusOr<Json> config = ParseJson(text);
  if (!config.ok() || !config->is_object()) {
    return InvalidCheckpoint("adapter_config.json is no JSON object");
  }
  RETURN_IF_ERROR(CheckUnderstood(*config));
  AdapterConfig read;
  const Json alpha = config->value("lora_alpha", Json());
  if (!alpha.is_number()) return InvalidCheckpoint("adapter_config.json has no number lora_alpha");
  read.alpha = alpha.get<double>();
  const Json patterns = config->value("alpha_pattern", Json());
  if (patterns.is_object()) {
    for (const auto& [key, value] : patterns.items()) {
      ASSIGN_OR_RETURN(const std::string plain, PlainPattern(key));
      if (!value.is_number()) return InvalidCheckpoint("alpha_pattern holds what is no number");
      read.alpha_pattern[plain] = value.get<double>();
    }
  }
  ASSIGN_OR_RETURN(read.rank_stabilized, ReadFlag(*config, "use_rslora"));
  ASSIGN_OR_RETURN(read.transposed, ReadFlag(*config, "fan_in_fan_out"));
  return read;
}

}  // namespace stockpot
