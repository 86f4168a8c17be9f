// Writes a checkpoint as torch.save does, by LibTorch's own writer, so that the tests need no
// Python.
#ifndef STOCKPOT_TESTS_SUPPORT_TORCH_SAVE_TORCH_SAVE_H_
#define STOCKPOT_TESTS_SUPPORT_TORCH_SAVE_TORCH_SAVE_H_

#include <string>

#include "absl/status/status.h"

namespace stockpot {

// Reads the float32 and int64 tensors of `checkpoint` and writes them as a dict to `path`.
absl::Status WriteTorchSave(const std::string& checkpoint, const std::string& path);

}  // namespace stockpot

#endif  // STOCKPOT_TESTS_SUPPORT_TORCH_SAVE_TORCH_SAVE_H_
