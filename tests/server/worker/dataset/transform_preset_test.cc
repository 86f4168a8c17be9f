#include "server/worker/dataset/transform_preset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/base/status.h"

namespace stockpot {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr char kValues[] = R"("image_mean": [0.5, 0.25, 0.125], "image_std": [1, 2, 3])";

std::string Processor(const std::string& type, const std::string& fields) {
  return R"({"image_processor_type": ")" + type + R"(", )" + kValues + ", " + fields + "}";
}

ImageGeometry Exact(int height, int width, Interpolation interpolation, bool rounds_down) {
  ImageGeometry geometry;
  geometry.resize_height = height;
  geometry.resize_width = width;
  geometry.interpolation = interpolation;
  geometry.crop_rounds_down = rounds_down;
  return geometry;
}

ImageGeometry Shorter(int side, int crop, Interpolation interpolation, bool rounds_down) {
  ImageGeometry geometry;
  geometry.resize_shorter_side = side;
  geometry.crop_height = geometry.crop_width = crop;
  geometry.interpolation = interpolation;
  geometry.crop_rounds_down = rounds_down;
  return geometry;
}

TEST(TransformConfig, ReadsWhatTheLibrariesWrite) {
  constexpr Interpolation kBilinear = Interpolation::kBilinear, kBicubic = Interpolation::kBicubic;
  const std::string timm_values = R"("mean": [0.5, 0.25, 0.125], "std": [1, 2, 3])";
  const std::pair<std::string, ImageGeometry> cases[] = {
      {Processor("ViTImageProcessor", R"("size": 224, "resample": 2)"),
       Exact(224, 224, kBilinear, true)},
      {Processor("ViTImageProcessorFast", R"("size": {"height": 32, "width": 48}, "resample": 3)"),
       Exact(32, 48, kBicubic, true)},
      {Processor("CLIPImageProcessor",
                 R"("size": 224, "resample": 3, "do_center_crop": true, "crop_size": 200)"),
       Shorter(224, 200, kBicubic, true)},
      {Processor("CLIPFeatureExtractor",
                 R"("size": {"shortest_edge": 224}, "resample": 3, "do_center_crop": true,
                    "crop_size": {"height": 224, "width": 224}, "do_pad": null)"),
       Shorter(224, 224, kBicubic, true)},
      {Processor("ConvNextImageProcessor",
                 R"("size": {"shortest_edge": 224}, "resample": 3, "crop_pct": 0.875)"),
       Shorter(256, 224, kBicubic, true)},
      {Processor("ConvNextImageProcessor", R"("size": {"shortest_edge": 384}, "resample": 3)"),
       Exact(384, 384, kBicubic, true)},
      {R"({"architecture": "x", "pretrained_cfg": {"input_size": [3, 224, 224], "crop_pct": 0.9,
          "interpolation": "bicubic", "crop_mode": "center", )" +
           timm_values + "}}",
       Shorter(248, 224, kBicubic, false)},
      {R"({"input_size": [3, 288, 256], "crop_pct": 1.0, "interpolation": "bilinear",
          "crop_mode": "squash", )" +
           timm_values + "}",
       [] {
         ImageGeometry geometry = Exact(288, 256, Interpolation::kBilinear, false);
         geometry.crop_height = 288;
         geometry.crop_width = 256;
         return geometry;
       }()},
      {R"({"model_cfg": {}, "preprocess_cfg": {"size": 224, "interpolation": "bicubic",
          "resize_mode": "shortest", )" +
           timm_values + "}}",
       Shorter(224, 224, kBicubic, false)},
      {R"({"preprocess_cfg": {"size": [224, 240], "resize_mode": "squash", )" + timm_values + "}}",
       Exact(224, 240, kBicubic, false)},
  };
  for (const auto& [json, geometry] : cases) {
    const auto preset = ReadTransformConfig(json);
    ASSERT_TRUE(preset.ok()) << json << preset.status();
    EXPECT_TRUE(preset->geometry == geometry) << json;
    EXPECT_TRUE(preset->scale_to_unit);
    EXPECT_THAT(preset->mean, ElementsAre(0.5f, 0.25f, 0.125f));
    EXPECT_THAT(preset->standard_deviation, ElementsAre(1, 2, 3));
  }
}

TEST(TransformConfig, TellsWhatIsLeftOut) {
  const auto preset = ReadTransformConfig(Processor(
      "ViTImageProcessor", R"("do_resize": false, "do_rescale": false, "do_normalize": false)"));
  ASSERT_TRUE(preset.ok());
  EXPECT_TRUE(preset->geometry.resize_height == 0);
  EXPECT_FALSE(preset->scale_to_unit);
  EXPECT_THAT(preset->mean, IsEmpty());
}

TEST(TransformConfig, RefusesWhatIsNotKnown) {
  const std::pair<std::string, const char*> cases[] = {
      {"", "not a JSON object"},
      {"[]", "not a JSON object"},
      {"{}", "image_processor_type"},
      {std::string(10'000, '['), "not a JSON object"},
      {Processor("FlavaImageProcessor", R"("size": 1)"), "FlavaImageProcessor"},
      {Processor("ViTImageProcessor", R"("resample": 2)"), "'size' is missing"},
      {Processor("ViTImageProcessor", R"("size": 224)"), "'resample' is missing"},
      {Processor("ViTImageProcessor", R"("size": 224, "resample": 1)"), "resample"},
      {Processor("ViTImageProcessor", R"("size": -1, "resample": 2)"), "size"},
      {Processor("ViTImageProcessor", R"("size": 1.5, "resample": 2)"), "size"},
      {Processor("ViTImageProcessor", R"("size": 1e300, "resample": 2)"), "size"},
      {Processor("ViTImageProcessor", R"("size": 99999999999, "resample": 2)"), "size"},
      {Processor("CLIPImageProcessor",
                 R"("size": {"shortest_edge": 3, "longest_edge": 4}, "resample": 2)"),
       "size"},
      {Processor("ViTImageProcessor", R"("size": 2, "resample": 2, "do_pad": true)"), "do_pad"},
      {Processor("ViTImageProcessor", R"("size": 2, "resample": 2, "do_center_crop": true)"),
       "crop_size"},
      {Processor("ViTImageProcessor", R"("size": 2, "resample": 2, "rescale_factor": 0.0078)"),
       "rescale_factor"},
      {R"({"image_processor_type": "ViTImageProcessor", "size": 2, "resample": 2})", "image_mean"},
      {R"({"pretrained_cfg": {"input_size": [1, 28, 28]}})", "input_size"},
      {R"({"pretrained_cfg": {"input_size": [3, 28, 28], "crop_pct": -1}})", "crop_pct"},
      {R"({"pretrained_cfg": {"input_size": [3, 28, 28], "crop_mode": "border"}})", "crop_mode"},
      {R"({"pretrained_cfg": {"input_size": [3, 28, 28], "interpolation": "random",
          "mean": [1, 1, 1], "std": [1, 1, 1]}})",
       "interpolation"},
      {R"({"pretrained_cfg": {"input_size": [3, 28, 28], "mean": [1, 1, 1], "std": [1, 0, 1]}})",
       "std"},
      {R"({"preprocess_cfg": {"size": 224, "resize_mode": "longest"}})", "resize_mode"},
  };
  for (const auto& [json, message] : cases) {
    const absl::Status status = ReadTransformConfig(json).status();
    EXPECT_EQ(GetErrorFacts(status).reason, "DATA_SET_INVALID") << json;
    EXPECT_THAT(std::string(status.message()), HasSubstr(message)) << json;
  }
}

}  // namespace
}  // namespace stockpot
