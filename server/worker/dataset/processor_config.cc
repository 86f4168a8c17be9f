// transformers' preprocessor_config.json.
#include <cmath>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "server/base/status.h"
#include "server/worker/dataset/config_object.h"

namespace stockpot {
namespace {

struct Processor {
  absl::string_view name;
  bool int_is_square;  // what a size that is one number means
};
constexpr Processor kProcessors[] = {{"ViT", true},      {"DeiT", true},  {"Beit", true},
                                     {"Siglip", true},   {"CLIP", false}, {"Bit", false},
                                     {"ConvNext", false}};

absl::StatusOr<Processor> FindProcessor(const std::string& type) {
  absl::string_view name = type;
  if (!absl::ConsumeSuffix(&name, "Fast")) absl::ConsumeSuffix(&name, "Pil");
  if (absl::ConsumeSuffix(&name, "ImageProcessor") ||
      absl::ConsumeSuffix(&name, "FeatureExtractor")) {
    for (const Processor& processor : kProcessors) {
      if (processor.name == name) return processor;
    }
  }
  return BadConfig(
      "image_processor_type",
      absl::StrCat("is '", type, "', which is not known: give the numbers in image_transform"));
}

class ProcessorConfig {
 public:
  ProcessorConfig(const ConfigObject& json, const Processor& processor)
      : json_(json), processor_(processor) {
    preset_.geometry.crop_rounds_down = true;
  }

  absl::StatusOr<TransformPreset> Read() {
    for (const char* key : {"do_pad", "do_reduce_labels", "do_thumbnail", "do_align_long_axis",
                            "rescale_offset", "include_top"}) {
      ASSIGN_OR_RETURN(const bool asked, json_.Flag(key, false));
      if (asked) return BadConfig(key, "is true, which is not known here");
    }
    ASSIGN_OR_RETURN(const bool resize, json_.Flag("do_resize", true));
    if (resize) RETURN_IF_ERROR(ReadResize());
    ASSIGN_OR_RETURN(const bool crop, json_.Flag("do_center_crop", false));
    if (crop) RETURN_IF_ERROR(ReadCrop());
    RETURN_IF_ERROR(ReadValues());
    return preset_;
  }

 private:
  absl::Status ReadResize() {
    const Json* size = json_.Find("size");
    if (size == nullptr) return BadConfig("size", "is missing");
    if (json_.Find("resample") == nullptr) return BadConfig("resample", "is missing");
    ASSIGN_OR_RETURN(const double resample, json_.Number("resample", 0));
    if (resample != 2 && resample != 3) {
      return BadConfig("resample", "must be 2 (bilinear) or 3 (bicubic)");
    }
    ImageGeometry& geometry = preset_.geometry;
    geometry.interpolation = resample == 2 ? Interpolation::kBilinear : Interpolation::kBicubic;
    if (size->is_object() && size->contains("height")) {
      const ConfigObject sides(*size);
      ASSIGN_OR_RETURN(geometry.resize_height, sides.Side("height"));
      ASSIGN_OR_RETURN(geometry.resize_width, sides.Side("width"));
      return absl::OkStatus();
    }
    if (size->is_object() && (!size->contains("shortest_edge") || size->size() != 1)) {
      return BadConfig("size", "must have height and width, or shortest_edge alone");
    }
    ASSIGN_OR_RETURN(const int side, size->is_object() ? ConfigObject(*size).Side("shortest_edge")
                                                       : ConfigObject::ToSide("size", *size));
    if (processor_.name == "ConvNext") return ReadConvNextSize(side);
    if (size->is_object() || !processor_.int_is_square) {
      geometry.resize_shorter_side = side;
    } else {
      geometry.resize_height = geometry.resize_width = side;
    }
    return absl::OkStatus();
  }

  // Below 384 it crops what it resized to side / crop_pct; else it ignores the
  // aspect ratio.
  absl::Status ReadConvNextSize(int side) {
    ImageGeometry& geometry = preset_.geometry;
    if (side >= 384) {
      geometry.resize_height = geometry.resize_width = side;
      return absl::OkStatus();
    }
    ASSIGN_OR_RETURN(const double share, json_.Number("crop_pct", 224.0 / 256));
    if (!(share > 0.1 && share <= 1)) return BadConfig("crop_pct", "must be between 0.1 and 1");
    geometry.resize_shorter_side = static_cast<int>(side / share);
    geometry.crop_height = geometry.crop_width = side;
    return absl::OkStatus();
  }

  absl::Status ReadCrop() {
    const Json* size = json_.Find("crop_size");
    if (size == nullptr) return BadConfig("crop_size", "is missing");
    ImageGeometry& geometry = preset_.geometry;
    if (geometry.crop_height != 0) return BadConfig("do_center_crop", "crops a second time");
    if (!size->is_object()) {
      ASSIGN_OR_RETURN(geometry.crop_height, ConfigObject::ToSide("crop_size", *size));
      geometry.crop_width = geometry.crop_height;
      return absl::OkStatus();
    }
    const ConfigObject sides(*size);
    ASSIGN_OR_RETURN(geometry.crop_height, sides.Side("height"));
    ASSIGN_OR_RETURN(geometry.crop_width, sides.Side("width"));
    return absl::OkStatus();
  }

  absl::Status ReadValues() {
    ASSIGN_OR_RETURN(preset_.scale_to_unit, json_.Flag("do_rescale", true));
    ASSIGN_OR_RETURN(const double factor, json_.Number("rescale_factor", 1.0 / 255));
    if (preset_.scale_to_unit && std::abs(factor * 255 - 1) > 1e-6) {
      return BadConfig("rescale_factor", "must be 1/255");
    }
    ASSIGN_OR_RETURN(const bool normalize, json_.Flag("do_normalize", true));
    return normalize ? json_.ReadNormalisation("image_mean", "image_std", &preset_)
                     : absl::OkStatus();
  }

  const ConfigObject& json_;
  const Processor processor_;
  TransformPreset preset_;
};

}  // namespace

absl::StatusOr<TransformPreset> ReadProcessorConfig(const ConfigObject& json,
                                                    const std::string& type) {
  ASSIGN_OR_RETURN(const Processor processor, FindProcessor(type));
  return ProcessorConfig(json, processor).Read();
}

}  // namespace stockpot
