// The errors of the checkpoint readers: one function per reason of the public API, so that code and
// reason always agree, and how names from a hostile file are quoted.
// Thread safety: the functions are thread-safe.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_ERRORS_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_ERRORS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace stockpot {

// INVALID_ARGUMENT, CHECKPOINT_INVALID: breaks its format or the limits.
absl::Status InvalidCheckpoint(absl::string_view message);
// UNIMPLEMENTED, CHECKPOINT_UNSUPPORTED: a known thing that is not read.
absl::Status UnsupportedCheckpoint(absl::string_view message);
// DATA_LOSS, CHECKPOINT_TRUNCATED: the file ends early.
absl::Status TruncatedCheckpoint(absl::string_view message);

// "tensor 'NAME': message", with metadata "tensor".
absl::Status AtTensor(absl::string_view name, const absl::Status& status);

// 'text', escaped and cut to a length that fits a message.
std::string Quote(absl::string_view text);

// INVALID_ARGUMENT unless `name` can name a tensor: UTF-8, at most 1 KiB, and not "__metadata__",
// which safetensors keeps for itself.
absl::Status CheckTensorName(absl::string_view name);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_CHECKPOINT_ERRORS_H_
