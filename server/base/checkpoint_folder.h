// What a folder that is a checkpoint holds: the files that it is looked through for, the first that
// is there counts. As transformers, diffusers, open_clip and peft write them, and Stockpot's own
// soups.
#ifndef STOCKPOT_SERVER_BASE_CHECKPOINT_FOLDER_H_
#define STOCKPOT_SERVER_BASE_CHECKPOINT_FOLDER_H_

#include "absl/strings/string_view.h"

namespace stockpot {

inline constexpr absl::string_view kFilesOfCheckpointFolders[] = {
    "model.safetensors",
    "model.safetensors.index.json",
    "pytorch_model.bin",
    "pytorch_model.bin.index.json",
    "adapter_model.safetensors",
    "adapter_model.bin",
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.bin",
    "diffusion_pytorch_model.safetensors",
    "diffusion_pytorch_model.safetensors.index.json",
    "soup.safetensors",
    "soup.safetensors.index.json",
};

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_CHECKPOINT_FOLDER_H_
