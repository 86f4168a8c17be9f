// What a folder that is a checkpoint holds: the files that it is looked through for, the first that
// is there counts. As transformers, diffusers, open_clip and peft write them, and Stockpot's own
// soups. Thread safety: the functions are thread-safe.
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

// Whether an ingredient's URI may stand for several checkpoints: it names a folder, where folders
// can be looked through. A web server's cannot, so that one of it is always one checkpoint; nor
// can one with a wildcard in its name (of a URI it can be percent-encoded).
bool MayHoldCheckpoints(absl::string_view uri);

// model-00001-of-00003.safetensors, a part of a checkpoint; not model-00001-of-00001.safetensors.
bool IsOneOfSeveralFiles(absl::string_view name);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_BASE_CHECKPOINT_FOLDER_H_
