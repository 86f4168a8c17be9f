// What a model's evaluation does to images, by a name or by a file that came with the model.
//
// Sources: torchvision's ImageClassification presets; timm's transforms_imagenet_eval and
// resolve_data_config; open_clip's image_transform_v2; the image processors of transformers
// (ViT, DeiT, BEiT, SigLIP, CLIP, BiT, ConvNeXT). What a file asks for beyond resizing, a centre
// crop, dividing by 255 and normalising is refused by name.
// Thread safety: plain data; the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_DATASET_TRANSFORM_PRESET_H_
#define STOCKPOT_SERVER_WORKER_DATASET_TRANSFORM_PRESET_H_

#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/dataset/data_set.h"

namespace stockpot {

struct TransformPreset {
  ImageGeometry geometry;
  // Of the values afterwards: (x / 255 if scaled - mean) / standard_deviation; three each, or none.
  bool scale_to_unit = true;
  std::vector<float> mean, standard_deviation;
};

enum class NamedPreset { kTorchvisionV1, kTorchvisionV2, kTimm, kTimmHalf, kClip, kClip336 };
TransformPreset GetPreset(NamedPreset name);

inline constexpr size_t kMaxTransformConfigBytes = 1 << 20;

// A preprocessor_config.json of transformers, a config.json of timm or an open_clip_config.json.
// Errors: INVALID_ARGUMENT, reason DATA_SET_INVALID, naming the field.
absl::StatusOr<TransformPreset> ReadTransformConfig(absl::string_view json);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_DATASET_TRANSFORM_PRESET_H_
