// Which of the files below a folder are checkpoints, by their names alone: what an ingredient that
// names a folder stands for.
//
// A folder that has one of kFilesOfCheckpointFolders is one checkpoint, by the first of them, and
// nothing else in it or below it is another. In other folders each of these is one: files that end
// in .safetensors, .pt, .pth, .pth.tar, .bin or .ckpt, and indices (….safetensors.index.json,
// ….bin.index.json); but not the numbered parts of several (…-00001-of-00003.safetensors).
// Thread safety: the function is thread-safe.
#ifndef STOCKPOT_SERVER_STORAGE_CHECKPOINTS_BELOW_H_
#define STOCKPOT_SERVER_STORAGE_CHECKPOINTS_BELOW_H_

#include <string>
#include <vector>

namespace stockpot {

struct CheckpointsBelow {
  bool is_one = false;        // the folder itself: `files` has the one that makes it so
  std::vector<size_t> files;  // positions in `paths`, ascending
};

// For errors: what was looked for.
inline constexpr char kWhatCheckpointsAre[] =
    "no .safetensors, .pt, .pth, .pth.tar, .bin or .ckpt file, and no index of such";

// `paths` are those of all files below the folder ("a/b.pt"), each once.
CheckpointsBelow FindCheckpoints(const std::vector<std::string>& paths);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_STORAGE_CHECKPOINTS_BELOW_H_
