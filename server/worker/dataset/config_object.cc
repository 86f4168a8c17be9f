#include "server/worker/dataset/config_object.h"

#include <cmath>

#include "absl/strings/str_cat.h"
#include "server/base/status.h"
#include "server/worker/dataset/image.h"

namespace stockpot {
namespace {

constexpr int kMaxSide = 16384;

}  // namespace

absl::Status BadConfig(absl::string_view field, absl::string_view message) {
  return WithReason(absl::InvalidArgumentError(absl::StrCat("field '", field, "' ", message)),
                    "DATA_SET_INVALID");
}

const Json* ConfigObject::Find(const char* key) const {
  const auto found = json_.find(key);
  return found == json_.end() || found->is_null() ? nullptr : &*found;
}

absl::StatusOr<bool> ConfigObject::Flag(const char* key, bool absent) const {
  const Json* value = Find(key);
  if (value == nullptr) return absent;
  if (!value->is_boolean()) return BadConfig(key, "is neither true nor false");
  return value->get<bool>();
}

absl::StatusOr<double> ConfigObject::Number(const char* key, double absent) const {
  const Json* value = Find(key);
  if (value == nullptr) return absent;
  if (!value->is_number()) return BadConfig(key, "is no number");
  return value->get<double>();
}

absl::StatusOr<std::string> ConfigObject::Text(const char* key, const char* absent) const {
  const Json* value = Find(key);
  if (value == nullptr) return std::string(absent);
  if (!value->is_string()) return BadConfig(key, "is no text");
  return value->get<std::string>();
}

absl::StatusOr<int> ConfigObject::Side(const char* key) const {
  const Json* value = Find(key);
  if (value == nullptr) return BadConfig(key, "is missing");
  return ToSide(key, *value);
}

absl::StatusOr<int> ConfigObject::ToSide(const char* key, const Json& value) {
  if (!value.is_number_integer()) return BadConfig(key, "is no whole number of pixels");
  const auto side = value.get<int64_t>();
  if (side < 1 || side > kMaxSide) {
    return BadConfig(key, absl::StrCat("must be from 1 to ", kMaxSide));
  }
  return static_cast<int>(side);
}

absl::StatusOr<std::vector<float>> ConfigObject::Channels(const char* key) const {
  const Json* value = Find(key);
  if (value == nullptr || !value->is_array() || value->size() != Image::kChannels) {
    return BadConfig(key, "must have a number for each of three channels");
  }
  std::vector<float> channels;
  for (const Json& number : *value) {
    const double channel = number.is_number() ? number.get<double>() : NAN;
    if (!(std::abs(channel) <= 1e6)) return BadConfig(key, "must have finite numbers");
    channels.push_back(static_cast<float>(channel));
  }
  return channels;
}

absl::Status ConfigObject::ReadNormalisation(const char* mean, const char* deviation,
                                             TransformPreset* preset) const {
  ASSIGN_OR_RETURN(preset->mean, Channels(mean));
  ASSIGN_OR_RETURN(preset->standard_deviation, Channels(deviation));
  for (const float channel : preset->standard_deviation) {
    if (!(channel > 0)) return BadConfig(deviation, "must be positive");
  }
  return absl::OkStatus();
}

absl::Status ConfigObject::ReadInterpolation(const char* key, TransformPreset* preset) const {
  ASSIGN_OR_RETURN(const std::string name, Text(key, "bicubic"));
  if (name != "bicubic" && name != "bilinear") {
    return BadConfig(key, absl::StrCat("is '", name, "': bicubic and bilinear are known"));
  }
  preset->geometry.interpolation =
      name == "bilinear" ? Interpolation::kBilinear : Interpolation::kBicubic;
  return absl::OkStatus();
}

}  // namespace stockpot
