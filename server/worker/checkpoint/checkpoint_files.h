// Checkpoints as people have them: one file, several files with an index, a folder as transformers'
// save_pretrained writes it, a LoRA adapter over a base; and what a job says of how to read them.
//
// Where files are is for the caller to say, who may have to ask an allow-list or a network:
//
//   name, path  of kFilesOfCheckpointFolders the first that is there, or the file that was named
//   parts       FurtherFiles(name, path): their paths
//   OpenCheckpointFiles({name, path, parts, base}, …)
//
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/name_rule.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// What the names of the tensors are taken from.
struct CheckpointReading {
  std::string state_dict_key;     // as FindStateDict, of torch.save files
  std::vector<NameRule> renames;  // after everything else
};

struct CheckpointFiles {
  std::string name;  // of the file, without its folder
  std::string path;
  std::map<std::string, std::string> parts;  // paths by name, of FurtherFiles()
  std::shared_ptr<const StateDict> base;     // of an adapter: what it was trained from
};

// Whether a file of this name is an adapter: adapter_model.safetensors or .bin, as peft writes.
bool IsAdapterName(absl::string_view name);

// Names of the other files of the same folder that the checkpoint is made of.
// Errors: as OpenCheckpoint, of an index that is none.
absl::StatusOr<std::vector<std::string>> FurtherFiles(const std::string& name,
                                                      const std::string& path,
                                                      const CheckpointLimits& limits);

// Opens weights to be averaged. Errors: as OpenCheckpoint, and UNIMPLEMENTED
// (CHECKPOINT_UNSUPPORTED) quantised weights and adapters of a kind that is not understood;
// INVALID_ARGUMENT an adapter without a base, or that does not fit it.
absl::StatusOr<std::shared_ptr<const StateDict>> OpenCheckpointFiles(
    const CheckpointFiles& files, const CheckpointReading& reading, const CheckpointLimits& limits);

// NOT_FOUND (CHECKPOINT_NOT_FOUND): a folder that has none of kFilesOfCheckpointFolders.
absl::Status NoCheckpointInFolder();

// The files of a local checkpoint, a file or a folder, without anybody's leave.
// Errors: as OpenCheckpoint.
absl::StatusOr<CheckpointFiles> FindLocalCheckpoint(const std::string& path,
                                                    const CheckpointLimits& limits);

// Both of the above, with nothing renamed. `base` may be null.
absl::StatusOr<std::shared_ptr<const StateDict>> OpenLocalCheckpoint(
    const std::string& path, std::shared_ptr<const StateDict> base, const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_FILES_H_
