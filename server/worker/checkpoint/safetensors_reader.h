// Reads a safetensors file: every tensor is a view into the mapping.
// Source: https://github.com/huggingface/safetensors; white space before the header's "{" is
// accepted. Thread safety: the function is thread-safe, its result immutable.
#ifndef STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_READER_H_
#define STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_READER_H_

#include <memory>

#include "absl/status/statusor.h"
#include "server/base/mapped_file.h"
#include "server/worker/checkpoint/state_dict.h"

namespace stockpot {

// True when the file may be safetensors: what is there of an 8-byte size, white space and "{".
bool LooksLikeSafetensors(absl::string_view bytes);

// Errors: as OpenCheckpoint.
absl::StatusOr<std::shared_ptr<const StateDict>> OpenSafetensors(
    std::shared_ptr<const MappedFile> file, const CheckpointLimits& limits);

}  // namespace stockpot

#endif  // STOCKPOT_SERVER_WORKER_CHECKPOINT_SAFETENSORS_READER_H_
