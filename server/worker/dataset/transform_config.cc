// The half of transform_preset.h that reads files.
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "server/base/json_reader.h"
#include "server/base/status.h"
#include "server/worker/dataset/config_object.h"
#include "server/worker/dataset/image_geometry.h"
#include "server/worker/dataset/transform_preset.h"

namespace stockpot {
namespace {

// ---- timm ----

absl::StatusOr<TransformPreset> ReadTimm(const ConfigObject& json) {
  TransformPreset preset;
  const Json* size = json.Find("input_size");
  if (size == nullptr || !size->is_array() || size->size() != 3 || (*size)[0] != 3) {
    return BadConfig("input_size", "must be [3, height, width]");
  }
  ImageGeometry& geometry = preset.geometry;
  ASSIGN_OR_RETURN(geometry.crop_height, ConfigObject::ToSide("input_size", (*size)[1]));
  ASSIGN_OR_RETURN(geometry.crop_width, ConfigObject::ToSide("input_size", (*size)[2]));
  ASSIGN_OR_RETURN(double share, json.Number("crop_pct", 0.875));
  if (share == 0) share = 0.875;
  if (!(share > 0.1 && share <= 1)) return BadConfig("crop_pct", "must be between 0.1 and 1");
  ASSIGN_OR_RETURN(const std::string mode, json.Text("crop_mode", "center"));
  const auto scaled = [&](int side) { return static_cast<int>(std::floor(side / share)); };
  if (mode == "squash") {
    geometry.resize_height = scaled(geometry.crop_height);
    geometry.resize_width = scaled(geometry.crop_width);
  } else if (mode == "center" && geometry.crop_height == geometry.crop_width) {
    geometry.resize_shorter_side = scaled(geometry.crop_height);
  } else {
    return BadConfig("crop_mode", absl::StrCat("is '", mode,
                                               "': known are squash, and center of "
                                               "squares"));
  }
  RETURN_IF_ERROR(json.ReadInterpolation("interpolation", &preset));
  RETURN_IF_ERROR(json.ReadNormalisation("mean", "std", &preset));
  return preset;
}

// ---- open_clip ----

absl::StatusOr<TransformPreset> ReadOpenClip(const ConfigObject& json) {
  TransformPreset preset;
  ImageGeometry& geometry = preset.geometry;
  const Json* size = json.Find("size");
  if (size == nullptr) return BadConfig("size", "is missing");
  const bool is_pair = size->is_array();
  if (is_pair && size->size() != 2) return BadConfig("size", "must be one number or two");
  ASSIGN_OR_RETURN(const int height, ConfigObject::ToSide("size", is_pair ? (*size)[0] : *size));
  ASSIGN_OR_RETURN(const int width, ConfigObject::ToSide("size", is_pair ? (*size)[1] : *size));
  ASSIGN_OR_RETURN(const std::string color, json.Text("mode", "RGB"));
  if (color != "RGB") return BadConfig("mode", "must be RGB");
  ASSIGN_OR_RETURN(const std::string mode, json.Text("resize_mode", "shortest"));
  if (mode == "squash") {
    geometry.resize_height = height;
    geometry.resize_width = width;
  } else if (mode == "shortest" && height == width) {
    geometry.resize_shorter_side = geometry.crop_height = geometry.crop_width = height;
  } else {
    return BadConfig("resize_mode", absl::StrCat("is '", mode,
                                                 "': known are squash, and shortest "
                                                 "of squares"));
  }
  RETURN_IF_ERROR(json.ReadInterpolation("interpolation", &preset));
  RETURN_IF_ERROR(json.ReadNormalisation("mean", "std", &preset));
  return preset;
}

absl::StatusOr<TransformPreset> ReadObject(const Json& json) {
  const ConfigObject object(json);
  const auto part = [&](const char* key) -> const Json* {
    const Json* found = object.Find(key);
    return found != nullptr && found->is_object() ? found : nullptr;
  };
  if (const Json* clip = part("preprocess_cfg")) return ReadOpenClip(ConfigObject(*clip));
  if (const Json* timm = part("pretrained_cfg")) return ReadTimm(ConfigObject(*timm));
  for (const char* key : {"image_processor_type", "feature_extractor_type"}) {
    ASSIGN_OR_RETURN(const std::string type, object.Text(key, ""));
    if (type.empty()) continue;
    return ReadProcessorConfig(object, type);
  }
  if (object.Find("input_size") != nullptr) return ReadTimm(object);
  return BadConfig("image_processor_type",
                   "is missing, and so are pretrained_cfg (timm) and "
                   "preprocess_cfg (open_clip)");
}

}  // namespace

absl::StatusOr<TransformPreset> ReadTransformConfig(absl::string_view text) {
  const absl::StatusOr<Json> json = ParseJson(text);
  if (!json.ok() || !json->is_object()) {
    return WithReason(absl::InvalidArgumentError("not a JSON object"), "DATA_SET_INVALID");
  }
  ASSIGN_OR_RETURN(TransformPreset preset, ReadObject(*json));
  RETURN_IF_ERROR(CheckGeometry(preset.geometry));
  return preset;
}

}  // namespace stockpot
