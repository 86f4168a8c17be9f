// One file of tensors, told by its first bytes, before and after prefixes are taken off its names:
// files of a sharded checkpoint must keep the names that their index has.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_OPEN_CHECKPOINT_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_OPEN_CHECKPOINT_H_

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

struct RawCheckpoint {
  std::shared_ptr<const StateDict> state_dict;
  bool is_lightning = false;  // saved by PyTorch Lightning's Trainer
};

// `state_dict_key`: as FindStateDict. Errors: as OpenCheckpoint.
absl::StatusOr<RawCheckpoint> OpenRawCheckpoint(const std::string& path,
                                                const CheckpointLimits& limits,
                                                absl::string_view state_dict_key);

absl::StatusOr<std::shared_ptr<const StateDict>> WithoutWrapperPrefix(
    const RawCheckpoint& checkpoint);

// The same tensors under the names that `rename` gives them; those it calls "" are left out.
// `notes` are added to the notes.
// Errors: INVALID_ARGUMENT (CHECKPOINT_INVALID) names that cannot be, or that come twice.
absl::StatusOr<std::shared_ptr<const StateDict>> RenameTensors(
    const std::shared_ptr<const StateDict>& state_dict,
    const std::function<std::string(const std::string&)>& rename, std::vector<std::string> notes);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_OPEN_CHECKPOINT_H_
