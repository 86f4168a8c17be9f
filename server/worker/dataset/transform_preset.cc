#include "server/worker/dataset/transform_preset.h"

namespace stockpot {
namespace {

TransformPreset Square(int resize, int crop, Interpolation interpolation, std::vector<float> mean,
                       std::vector<float> standard_deviation) {
  TransformPreset preset;
  preset.geometry.resize_shorter_side = resize;
  preset.geometry.interpolation = interpolation;
  preset.geometry.crop_height = preset.geometry.crop_width = crop;
  preset.mean = std::move(mean);
  preset.standard_deviation = std::move(standard_deviation);
  return preset;
}

}  // namespace

TransformPreset GetPreset(NamedPreset name) {
  const std::vector<float> imagenet_mean = {0.485f, 0.456f, 0.406f};
  const std::vector<float> imagenet_deviation = {0.229f, 0.224f, 0.225f};
  const std::vector<float> half = {0.5f, 0.5f, 0.5f};
  const std::vector<float> clip_mean = {0.48145466f, 0.4578275f, 0.40821073f};
  const std::vector<float> clip_deviation = {0.26862954f, 0.26130258f, 0.27577711f};
  switch (name) {
    case NamedPreset::kTorchvisionV1:
      return Square(256, 224, Interpolation::kBilinear, imagenet_mean, imagenet_deviation);
    case NamedPreset::kTorchvisionV2:
      return Square(232, 224, Interpolation::kBilinear, imagenet_mean, imagenet_deviation);
    case NamedPreset::kTimm:
      return Square(256, 224, Interpolation::kBicubic, imagenet_mean, imagenet_deviation);
    case NamedPreset::kTimmHalf:
      return Square(248, 224, Interpolation::kBicubic, half, half);
    case NamedPreset::kClip:
      return Square(224, 224, Interpolation::kBicubic, clip_mean, clip_deviation);
    case NamedPreset::kClip336:
      return Square(336, 336, Interpolation::kBicubic, clip_mean, clip_deviation);
  }
  return {};
}

}  // namespace stockpot
