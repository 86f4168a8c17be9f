// Writes a checkpoint as torch.save writes the state dict of a module on the CPU: a zip archive
// with data.pkl and one entry per tensor, aligned to 64 bytes, that
// torch.load(…, weights_only=True) reads as an OrderedDict.
//
// Source: torch/serialization.py, _save(); the archive is made by LibTorch's own writer,
// caffe2/serialize/inline_container.h.
// Thread safety: thread-compatible.
#ifndef STOCKPOT_SERVER_WORKER_SESSION_TORCH_SAVE_WRITER_H_
#define STOCKPOT_SERVER_WORKER_SESSION_TORCH_SAVE_WRITER_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/worker/checkpoint/tensor_writer.h"

namespace stockpot {

// Creates `path` as SummedFile does; the data of `tensors` will come in this order. The same
// tensors give the same bytes.
absl::StatusOr<std::unique_ptr<TensorWriter>> CreateTorchSaveWriter(
    const std::string& path, std::vector<TensorInfo> tensors);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_SESSION_TORCH_SAVE_WRITER_H_
