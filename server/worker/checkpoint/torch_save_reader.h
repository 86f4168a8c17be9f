// Reads what torch.save of PyTorch 1.6 and later writes: a zip archive with a pickle (data.pkl) and
// one entry per storage; and TorchScript archives (torch.jit.save), which have code as well. The
// pickle is read as data and the code for the names of parameters and buffers alone; the tensors
// are views into the mapping, copied only where torch stored them strided. A storage's sum is
// checked the first time it is read.
//
// Source: torch/serialization.py, caffe2/serialize/inline_container.cc of PyTorch 2.11.
// Thread safety: the functions are thread-safe, the result immutable.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_READER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_READER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/base/mapped_file.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// True when the file begins like a zip archive.
bool LooksLikeTorchSave(absl::string_view bytes);

struct TorchSaveFile {
  std::shared_ptr<const StateDict> state_dict;
  bool is_lightning = false;  // saved by PyTorch Lightning's Trainer
};

// `key`: as FindStateDict, of TorchScript archives ignored. Errors: as OpenCheckpoint.
absl::StatusOr<TorchSaveFile> OpenTorchSave(std::shared_ptr<const MappedFile> file,
                                            const CheckpointLimits& limits,
                                            absl::string_view key = "");

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SAVE_READER_H_
