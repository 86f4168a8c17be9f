// Which attributes of a TorchScript module are its parameters and buffers: its code says it, in
// lines such as `__parameters__ = ["weight", ]`. Nothing of the code is run, or understood beyond
// them.
//
// Source: torch/csrc/jit/serialization/python_print.cpp of PyTorch 2.11.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SCRIPT_CLASSES_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SCRIPT_CLASSES_H_

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "server/worker/checkpoint/state_dict_search.h"
#include "server/worker/checkpoint/zip_archive.h"

namespace stockpot {

// Whether an archive is what torch.jit.save writes. `root`: its folder that holds data.pkl.
bool IsTorchScript(const ZipArchive& archive, absl::string_view root);

// Errors: INVALID_ARGUMENT, a damaged entry, or more than 64 MiB of code.
absl::StatusOr<TorchScriptClasses> ReadTorchScriptClasses(const ZipArchive& archive,
                                                          absl::string_view root);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_TORCH_SCRIPT_CLASSES_H_
